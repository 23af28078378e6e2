"""Scores of a medium, and a small inversion that improves on its start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sinefield.errors import UserError
from sinefield.evaluation.medium import MediumError
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.signals.analytic import Analytic
from sinefield.signals.inversion import Inversion
from sinefield.solvers.scattering import Scattering


def test_scores_are_of_the_medium():
    """0 for the true one; those of the start for a field that is 0."""
    small = Inversion(Scattering([6.0]), size=21, sources=3, receivers=8)
    evaluation = MediumError(small, Loss({"value": Value()}))
    truth, start = small.truth.double(), small.start.double()
    found = evaluation.scores(torch.zeros(441, 1))
    assert found["medium_relative_l2"] == pytest.approx(((truth - start).norm() / truth.norm()).item())
    assert found["medium_rms"] == pytest.approx((truth - start).square().mean().sqrt().item())
    references = evaluation.references()
    assert references["medium_relative_l2_start"] == found["medium_relative_l2"]
    best = evaluation.scores(small.jet(small.grid(), 0).value)
    assert best["medium_relative_l2"] < 1e-6
    assert best["data_misfit"] == pytest.approx(references["data_misfit_truth"], rel=1e-3)
    assert best["data_misfit"] < 0.3 * found["data_misfit"]
    with pytest.raises(UserError, match="take signal=inversion"):
        MediumError(Analytic(9), Loss({"value": Value()}))


def test_a_few_steps_improve_on_the_start(fit):
    """40 steps on 21 x 21 nodes halve the error of the medium; both pictures and the medium are written."""
    found = fit(
        *("signal=inversion", "signal.size=21", "field.width=48", "data.eval_every=40", "trainer.max_steps=40"),
        *("trainer.accelerator=cpu", "signal.propagator.wavenumbers=[4,8]"),
    )
    assert found["monitor"]["name"] == "medium_relative_l2"
    assert found["medium_relative_l2"] < 0.5 * found["medium_relative_l2_start"]
    folder = found["folder"]
    medium = np.load(folder / "medium.npy")
    truth = Inversion(Scattering([6.0]), size=21).truth.numpy()
    assert np.linalg.norm(medium - truth) / np.linalg.norm(truth) == pytest.approx(
        found["medium_relative_l2"], rel=1e-4
    )
    for name in ("medium.png", "data.png"):
        with Image.open(folder / name) as picture:
            assert picture.size[0] > 500
