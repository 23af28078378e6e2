"""Scores of a wave field, its pictures, and a whole run against the finite differences."""

import numpy as np
import pytest
import torch
from PIL import Image

from sinefield.errors import UserError
from sinefield.evaluation.helmholtz import Helmholtz
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.signals.analytic import Analytic
from sinefield.signals.helmholtz import Helmholtz as Waves

LOSS = Loss({"value": Value()})
RUN = ["signal=helmholtz", "signal.k=8", "signal.variance=4e-3", "signal.size=41", "trainer.accelerator=cpu"]
RUN += [
    "encoding.frequencies=110",
    "encoding.highest=3.6",
    "loss.terms.equation.nodes=29",
    "loss.terms.equation.modes=19",
]


@pytest.mark.parametrize("incident", [False, True])
def test_scores_are_of_the_physical_part_with_the_known_field(incident):
    """A field that is 1.1 u less the known one is off by a tenth; only nodes with |x|, |y| <= 1/2 count."""
    signal = Waves("square", k=8.0, variance=4e-3, size=41, incident=incident)
    evaluation = Helmholtz(signal, LOSS)
    x = torch.cat(list(evaluation.points()))
    assert len(x) == 21**2
    assert x.abs().max().item() == pytest.approx(0.5, abs=1e-6)
    truth = signal.jet(x, 0).value.double()
    found = evaluation.scores(1.1 * truth - signal.shown(x, torch.zeros_like(truth)))
    assert found["relative_l2"] == pytest.approx(0.1, rel=1e-5)
    assert found["relative_max"] == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize(("medium", "incident"), [("uniform", False), ("square", True)])
def test_a_run_solves_the_equation(medium, incident, fit):
    """Some percent in one step, with and without the known field; the picture is there."""
    found = fit(*RUN, f"signal.medium={medium}", f"signal.incident={incident}")
    assert found["relative_l2"] < 0.03
    assert found["monitor"] == {"name": "relative_l2", "direction": "min", "unit": ""}
    assert np.asarray(Image.open(found["folder"] / "wavefield.png")).std() > 10


def test_adam_goes_down_the_same_loss(fit):
    """The weak norm trains a network too."""
    run = [part for part in RUN if "encoding" not in part]
    run += ["encoding=none", "optimizer=adam", "field.width=24", "field.depth=1", "data.eval_every=1"]
    found = fit(*run, "trainer.max_steps=15")
    losses = np.genfromtxt(found["folder"] / "history.csv", delimiter=",", names=True)["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_another_signal_is_refused():
    with pytest.raises(UserError, match="take signal=helmholtz"):
        Helmholtz(Analytic(8), LOSS)
