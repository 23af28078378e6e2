"""The differentiable Helmholtz propagator: its data against the Hankel function, its gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import hankel2

from sinefield.errors import UserError
from sinefield.solvers.scattering import Scattering

pytestmark = pytest.mark.usefixtures("float64")

SOURCES, RECEIVERS = torch.tensor([[3, 2], [9, 10]]), torch.tensor([[10, 3], [6, 10], [2, 8], [10, 3]])


def test_data_of_a_uniform_medium_are_hankel_functions():
    """i/4 H0(k r) times the Gaussian's transform at k, exp(-k^2 v / 2), outside of it; curves Re, Im of each k."""
    variance, side = 1e-3, 101
    sources = torch.tensor([[50, 10], [20, 30]])
    receivers = torch.tensor([[50, 90], [90, 50], [70, 60]])
    found = Scattering([8.0, 15.0], variance)(torch.ones(side, side), sources, receivers)
    assert found.shape == (2, 4, 3)
    r = (sources[:, None] - receivers).double().norm(dim=-1).numpy() / (side - 1)
    for i, k in enumerate((8.0, 15.0)):
        expected = 0.25j * hankel2(0, k * r) * np.exp(-(k**2) * variance / 2)
        data = (found[:, 2 * i] + 1j * found[:, 2 * i + 1]).numpy()
        assert np.abs(data - expected).max() < 0.02 * np.abs(expected).max()


def test_reciprocity():
    """A source and a receiver change places in any medium, and nothing else changes."""
    medium = 1 + torch.rand(13, 13)
    there = Scattering([6.0], 1e-5)(medium, SOURCES, RECEIVERS[:3])
    back = Scattering([6.0], 1e-5)(medium, RECEIVERS[:3], SOURCES)
    assert torch.allclose(there, back.transpose(0, 2), rtol=1e-9)


def test_the_gradient_is_that_of_central_differences():
    """Of a weighted sum of squares, in every direction of ten; two frequencies, a receiver that is named twice."""
    propagator = Scattering([4.0, 9.0])
    medium, target = 1 + 0.5 * torch.rand(13, 13), torch.randn(2, 4, 4)

    def misfit(m: torch.Tensor) -> torch.Tensor:
        return ((propagator(m, SOURCES, RECEIVERS) - target).square() * (1 + target**2)).sum()

    medium.requires_grad_()
    (gradient,) = torch.autograd.grad(misfit(medium), medium)
    for _ in range(10):
        direction, step = torch.randn(13, 13), 1e-5
        with torch.no_grad():
            difference = (misfit(medium + step * direction) - misfit(medium - step * direction)) / (2 * step)
        assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-6, abs=1e-6)


def test_single_precision_in_single_precision_out():
    medium = torch.ones(9, 9, dtype=torch.float32, requires_grad=True)
    data = Scattering([5.0])(medium, torch.tensor([[4, 1]]), torch.tensor([[4, 7]]))
    assert data.dtype == torch.float32
    assert torch.autograd.grad(data.sum(), medium)[0].dtype == torch.float32


def test_bad_input_is_one_line():
    with pytest.raises(UserError, match="must be a list"):
        Scattering(5.0)
    with pytest.raises(UserError, match="above 0"):
        Scattering([5.0, -1.0])
    with pytest.raises(UserError, match="alike, and odd"):
        Scattering([5.0])(torch.ones(9, 12), SOURCES, RECEIVERS)
