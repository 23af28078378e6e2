"""What derivatives leave free, and their weak forms, in three dimensions."""

import numpy as np
import pytest
import torch

from sinefield.core.jet import Jet
from sinefield.losses.base import Loss
from sinefield.losses.constraints import Mean, Pixel
from sinefield.losses.gradient import Gradient
from sinefield.losses.halfway import Halfway
from sinefield.losses.laplacian import Laplacian, harmonic
from sinefield.losses.weak import Circles, Differences, Squares
from sinefield.signals.volume import Volume

pytestmark = pytest.mark.usefixtures("float64")


def test_harmonic_solves_the_seven_point_equations():
    """Inside the mean of the six neighbours, on the border the values that were given."""
    error = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 6, 7, 2)))
    found = harmonic(error)
    inside = found[1:-1, 1:-1, 1:-1]
    six = sum(found.roll(shift, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for shift in (-1, 1))
    assert (six / 6 - inside).abs().max() < 1e-13
    border = torch.ones(5, 6, 7, dtype=torch.bool)
    border[1:-1, 1:-1, 1:-1] = False
    assert torch.equal(found[border], error[border])


@pytest.mark.parametrize("term", [Gradient(), Differences()])
def test_gradients_leave_a_constant_free(term):
    error = torch.randn(4, 5, 6, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(term.unseen(error), error.mean(dim=(0, 1, 2)).expand_as(error))
    for pin in (Mean(), Pixel()):
        assert Loss({"g": term, "pin": pin}).unseen(error).abs().max() < (1e-14 if isinstance(pin, Mean) else 3)


def test_a_pixel_pins_the_middle():
    error = torch.randn(4, 5, 6, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Pixel().unseen(error), error - error[2, 2, 3])


@pytest.mark.parametrize("cls", [Circles, Squares])
def test_means_over_spheres_do_not_see_harmonic_polynomials(cls):
    """Up to degree 3; x^2, of Laplacian 2, counts E|r^2 / 3|^2; all points lie in the box."""
    term, signal = cls(count=300), Volume(size=12)
    points = term.points(signal, torch.Generator().manual_seed(0), 0.0)
    assert points.shape == (300 * 9, 3)
    assert (points.abs() <= signal.extent + 1e-14).all()
    x, y, z = points.unbind(1)
    free = torch.stack([x, x * y, x * x - y * y, 2 * z * z - x * x - y * y, x * y * z, x**3 - 3 * x * y * y], dim=1)

    def residual(values):
        return term.residual(Jet(values), Jet(torch.zeros_like(values)), points)

    assert residual(free).abs().max() < 1e-14
    around = points.unflatten(0, (-1, 9))
    reach = (around[:, 1:] - around[:, :1]).square().sum(-1)
    assert torch.allclose(reach, reach[:, :1].expand_as(reach))
    assert torch.allclose(residual(x[:, None] ** 2)[:, 0], reach[:, 0] / 3)
    assert Laplacian().order == 2


def test_halfway_between_two_samples_is_their_mean():
    """At samples along the other axes, halfway along the last one."""
    term, signal = Halfway(count=200), Volume(size=12)
    x = term.points(signal, torch.Generator().manual_seed(0), 0.0)
    place = signal.pixels(x)
    assert (place[:, :2] - place[:, :2].round()).abs().max() < 1e-12
    assert (place[:, 2] % 1 - 0.5).abs().max() < 1e-12
    column, row, below = place[:, 0].round().long(), place[:, 1].round().long(), place[:, 2].floor().long()
    values = signal.samples().value.reshape(signal.shape)
    expected = (values[below, row, column] + values[below + 1, row, column]) / 2
    assert torch.allclose(term.known(signal, x).value[:, 0], expected)


def test_spheres_are_turned_every_way():
    """Each corner is anywhere on the sphere: second moments 1/3, within 4 standard errors of 2,400 draws."""
    around = Circles(count=2400).points(Volume(size=12), torch.Generator().manual_seed(0), 0.0).unflatten(0, (-1, 9))
    unit = around[:, 1] - around[:, 0]
    unit = unit / unit.norm(dim=1, keepdim=True)
    moments = unit.mT @ unit / len(unit)
    assert (moments - torch.eye(3) / 3).abs().max() < 4 * 0.3 / len(unit) ** 0.5
