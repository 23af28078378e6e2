"""The terms of medium and waves together: the equation against nested autograd, and what is zero at the truth."""

from __future__ import annotations

import pytest
import torch

from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.losses.last_channel import LastChannel
from sinefield.losses.receivers import Receivers
from sinefield.losses.scattered_wave import ScatteredWave
from sinefield.signals.analytic import Analytic
from sinefield.signals.joint import Joint
from sinefield.solvers.scattering import Scattering

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def signal() -> Joint:
    return Joint(Scattering([5.0, 9.0]), size=21, sources=2, receivers=8, bounds=(1e-6, 1e6))


def test_the_equation_is_that_of_nested_autograd(signal):
    """d/dx (e_y/e_x dw/dx) + .., written as it stands and differentiated twice; every wave, layers included."""
    term, field = ScatteredWave(), Siren(2, 9, width=16, depth=1, omega0=3.0)
    x = signal.uniform(40, torch.Generator().manual_seed(0)).requires_grad_()
    known = term.known(signal, x.detach())
    found = term.residual(field.jet(x.detach(), 2, term.operators), known, x.detach())

    def derivative(function: torch.Tensor, axis: int) -> torch.Tensor:
        """Of a complex function (N,) of x."""
        parts = [torch.autograd.grad(part.sum(), x, create_graph=True)[0] for part in (function.real, function.imag)]
        return torch.complex(parts[0][:, axis], parts[1][:, axis])

    e = 1 - 5j * ((x.abs() - 0.5).clamp(min=0) / 0.5) ** 2
    value = field(x)
    m0 = torch.ones(40)
    m = m0 + 0.75 * value[:, -1]
    for c, k in enumerate((5.0, 9.0, 5.0, 9.0)):
        w, u0 = (torch.complex(v[:, 2 * c], v[:, 2 * c + 1]) for v in (value, known.value))
        spread = derivative(e[:, 1] / e[:, 0] * derivative(w, 0), 0) + derivative(
            e[:, 0] / e[:, 1] * derivative(w, 1), 1
        )
        expected = spread / k**2 + e[:, 0] * e[:, 1] * (m * w + (m - m0) * u0)
        assert torch.allclose(found[:, c], expected.real, atol=1e-10)
        assert torch.allclose(found[:, 4 + c], expected.imag, atol=1e-10)


def test_the_signal_meets_the_data_but_for_noise_and_the_grid(signal):
    """Its waves at the receivers are those measured; its medium is the true one; its waves vanish at the border."""
    term = Receivers()
    x = term.points(signal, torch.Generator(), 0.0)
    known, found = term.known(signal, x), signal.jet(x, 0)
    assert known.value.shape == (8, 8)
    assert known.value.square().mean().item() == pytest.approx(0.125, rel=0.2)  # half a wave's, over 2^2
    assert (term(found, known, x).sum() / known.value.square().sum()).item() < 0.05
    assert torch.allclose(signal.medium(signal.samples().value), signal.truth, atol=1e-12)
    assert signal.jet(torch.tensor([[1.0, 0.3], [-0.4, -1.0]]), 0).value[:, :-1].abs().max() < 1e-10
    assert signal.background(torch.tensor([[0.1, 0.2]]))[0, -1].item() == pytest.approx(1)


def test_the_last_channel_is_looked_at_alone():
    jet = Jet(torch.tensor([[5.0, 2.0], [7.0, 0.0]]))
    assert LastChannel()(jet, Jet(torch.zeros(2, 0)), torch.zeros(2, 2)).tolist() == [4, 0]


def test_bad_input_is_one_line():
    for term in (ScatteredWave(), Receivers()):
        with pytest.raises(UserError, match="take signal=joint"):
            term.mean_square(Analytic(9))


def test_a_few_steps_learn_the_waves(fit):
    """A hundred steps on a small case: the loss falls to a third."""
    losses = [
        fit(
            *("signal=joint", "signal.size=15", "signal.sources=2", "signal.propagator.wavenumbers=[4]"),
            *("field.width=32", "field.depth=1", "loss.terms.equation.count=256", "trainer.accelerator=cpu"),
            *(f"trainer.max_steps={steps}", "~loss.terms.fixed"),
            folder=str(steps),
        )["loss"]
        for steps in (1, 100)
    ]
    assert losses[1] < losses[0] / 3
