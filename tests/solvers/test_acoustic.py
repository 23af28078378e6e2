"""Acoustic waves by deepwave against the closed form in two dimensions."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch

from sinefield.errors import UserError
from sinefield.solvers.acoustic import Acoustic


def test_a_uniform_medium_gives_the_green_function():
    """int s(t - r / v cosh a) da / (2 pi): a wave with a tail, as of a point in two dimensions, of a unit source."""
    pytest.importorskip("deepwave")
    speed, spacing, frequency, interval = 2000.0, 10.0, 10.0, 2e-3
    propagator = Acoustic(spacing, frequency, 0.6, interval)
    medium = torch.full((41, 61), speed)
    found = propagator(medium, torch.tensor([[20, 10]]), torch.tensor([[20, 50], [30, 40]]))
    assert found.shape == (1, 2, 300)
    time = np.arange(300) * interval
    a = np.linspace(0, 6, 4001)
    for k, r in enumerate((400.0, np.hypot(100.0, 300.0))):
        phase = (np.pi * frequency * (time[:, None] - r / speed * np.cosh(a) - 1.5 / frequency)) ** 2
        expected = np.trapezoid((1 - 2 * phase) * np.exp(-phase), a, axis=1) / (2 * np.pi)
        data = found[0, k].numpy()
        assert abs(data - expected).max() < 0.03 * abs(data).max()


def test_the_gradient_goes_downhill():
    """A speed that is too low everywhere is raised."""
    pytest.importorskip("deepwave")
    propagator = Acoustic(10.0, 10.0, 0.4, 4e-3)
    places = torch.tensor([[10, 5]]), torch.tensor([[10, 25]])
    target = propagator(torch.full((21, 31), 2000.0), *places)
    medium = torch.full((21, 31), 1950.0, requires_grad=True)
    misfit = (propagator(medium, *places) - target).square().sum()
    assert torch.autograd.grad(misfit, medium)[0].sum() < 0


def test_bad_input_is_one_line(monkeypatch):
    with pytest.raises(UserError, match="2, 4, 6 or 8"):
        Acoustic(10.0, accuracy=3)
    with pytest.raises(UserError, match="above 0"):
        Acoustic(-1.0)
    load = builtins.__import__

    def without(name, *arguments, **named):
        if name == "deepwave":
            raise ImportError(name)
        return load(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="pip install"):
        Acoustic(10.0)(torch.ones(9, 9), torch.tensor([[1, 1]]), torch.tensor([[1, 2]]))
