"""Waves of one frequency: the known field against quadrature, the solution against finite differences of its own."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import hankel2, jv

from sinefield.errors import UserError
from sinefield.signals.helmholtz import Helmholtz
from sinefield.signals.incident import Incident
from sinefield.solvers import helmholtz

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("r", [1e-9, 0.004, 0.02, 0.31])
def test_the_known_field_is_the_convolution_with_the_hankel_function(r):
    """i/4 H0(k |x - y|) over a Gaussian, by adaptive quadrature of Graf's formula, before it is cut off."""
    k, variance = 20.0, 1e-4
    incident = Incident((0.1, -0.2), k, variance, 2 - 1j, inner=0.4, outer=0.5)

    def weighted(function, t):
        return function(0, k * t) * np.exp(-(t**2) / (2 * variance)) / (2 * np.pi * variance) * t

    end = 0.12
    near = min(r, end)
    inner = quad(lambda t: weighted(jv, t), 0, near)[0]
    outer = sum(
        z * quad(lambda t, part=part: part(weighted(hankel2, t)), near, end)[0]
        for z, part in ((1, np.real), (1j, np.imag))
    )
    expected = (2 - 1j) * 0.5j * np.pi * (hankel2(0, k * r) * inner + jv(0, k * r) * outer)
    x = torch.tensor([[0.1 + 0.6 * r, -0.2 - 0.8 * r]])
    assert complex(incident(x, 0).value) == pytest.approx(expected, rel=1e-6)
    assert complex(incident(torch.tensor([[0.1, 0.31]]), 0).value) == 0  # beyond the cut


def test_the_known_field_satisfies_the_equation_before_it_is_cut_off():
    """Second differences of its values: lap g + k^2 g = z G."""
    k, variance, h = 9.0, 4e-3, 1e-4
    incident = Incident((0.0, 0.0), k, variance, 1.0, inner=0.4, outer=0.5)
    x = 0.25 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    shifts = h * torch.tensor([[0.0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    values = [incident(x + shift, 0).value[:, 0] for shift in shifts]
    lap = (sum(values[1:]) - 4 * values[0]) / h**2
    expected = helmholtz.gaussian(x, (0.0, 0.0), variance)
    assert (lap + k**2 * values[0] - expected).abs().max() < 1e-4 * expected.max()


def test_the_solution_and_its_unit():
    """The samples are the oracle's, over the largest; the known field comes back on top of what a field has."""
    signal = Helmholtz("disc", k=8.0, variance=4e-3, sources=[[0.1, 0.0, 1, 0], [0.0, -0.2, 0, -2]], size=41)
    u = helmholtz.reference(signal.medium, signal.sources_at, 8.0, 41)
    values = signal.samples().value.reshape(41, 41, 2) * signal.unit
    assert np.abs(values.numpy() - np.stack([u.real, u.imag], -1)).max() < 1e-9 * signal.unit
    assert signal.samples().value.abs().max().item() == pytest.approx(1, abs=1e-6)
    x = signal.grid()[::7]
    rest = signal.jet(x, 0).value - signal.shown(x, torch.zeros(len(x), 2))
    assert torch.allclose(signal.shown(x, rest), signal.jet(x, 0).value)
    assert len(signal.known) == 2


def test_a_medium_is_averaged_with_its_mean_and_its_moments():
    """Sums over the grid of m times a quadratic are its integrals, wherever the edge lies."""
    signal = Helmholtz("square", size=21)
    h = 0.05
    line = torch.arange(-12, 13) * h
    x = torch.cartesian_prod(line, line)
    weight = (1 - signal.coefficients(x, h)[:, 4].real / signal.coefficients(x)[:, 4].real.max()) / 0.75
    for f, expected in ((torch.ones(len(x)), 0.36), (x[:, 0] ** 2, 0.36 * 0.03), (x[:, 0] * x[:, 1], 0.0)):
        inside = x.abs().amax(1) < 0.5  # the layers have other coefficients
        assert (weight * f)[inside].sum().item() * h**2 == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"sources": [[0.0, 0.0]]}, r"signal\.sources must be places and amplitudes"),
        ({"sources": []}, r"signal\.sources must be"),
        ({"sources": [[0.7, 0.0, 1, 1]]}, "lies in an absorbing layer"),
        ({"sources": [[0.0, 0.0, 0, 0]]}, "every amplitude is 0"),
        ({"variance": 0}, r"signal\.variance must be"),
        ({"k": -1}, r"signal\.k must be"),
        ({"medium": "sphere"}, r"signal\.medium"),
    ],
)
def test_what_is_none_is_one_line(knobs, message):
    with pytest.raises(UserError, match=message):
        Helmholtz(**knobs)
