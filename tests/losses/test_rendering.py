"""Compositing along rays against its integrals in closed form, and where points along a ray are moved to."""

import math

import pytest
import torch

from sinefield.errors import UserError
from sinefield.losses.rendering import OPACITY, Rendered, along, composite, refined
from sinefield.signals.image import Image
from sinefield.signals.scene import Scene

pytestmark = pytest.mark.usefixtures("float64")


def ray(samples: int, length: float = 1.6) -> torch.Tensor:
    """(S, 10), midpoints along one ray along x."""
    t = (torch.arange(samples) + 0.5) / samples * length
    x = torch.zeros(samples, 10)
    x[:, 0], x[:, 3], x[:, 6], x[:, 7] = t - length / 2, 1.0, t, length
    return x


def test_of_a_constant_density_by_its_integral():
    """C = c (1 - exp(-sigma L)) + background exp(-sigma L), for any number of points."""
    for samples in (2, 7, 64):
        values = torch.tensor([0.05, 0.3, -0.2, 0.9]).expand(samples, 4)
        colour, weights = composite(values, ray(samples), samples, -1.0)
        passed = math.exp(-OPACITY * 0.05 * 1.6)
        torch.testing.assert_close(colour[0], (1 - passed) * torch.tensor([0.3, -0.2, 0.9]) - passed)
        assert weights.sum().item() == pytest.approx(1 - passed)


def test_converges_to_the_integral_of_a_smooth_density():
    """int c(t) sigma(t) exp(-int_0^t sigma) dt, by a fine rule; the error falls as 1 / S at least."""

    def along_ray(t):
        return torch.stack([0.1 * (1 + torch.sin(5 * t)), torch.cos(3 * t), t - 1, t * 0], dim=1)

    fine = torch.linspace(0, 1.6, 200_001)
    values = along_ray(fine)
    sigma = OPACITY * values[:, 0]
    inside = torch.cat([torch.zeros(1), ((sigma[1:] + sigma[:-1]) / 2).cumsum(0) * (fine[1] - fine[0])])
    integrand = (sigma * torch.exp(-inside))[:, None] * values[:, 1:]
    expected = torch.trapezoid(integrand, fine, dim=0) + math.exp(-inside[-1].item())
    errors = []
    for samples in (16, 64, 256):
        x = ray(samples)
        colour, _ = composite(along_ray(x[:, 6]), x, samples, 1.0)
        errors.append((colour[0] - expected).norm().item())
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3


def test_what_is_behind_something_opaque_is_not_seen():
    values = torch.zeros(8, 4)
    values[3] = torch.tensor([100.0, 0.5, 0.5, 0.5])
    values[6] = torch.tensor([100.0, -1.0, -1.0, -1.0])
    colour, weights = composite(values, ray(8), 8, 1.0)
    torch.testing.assert_close(colour[0], torch.full((3,), 0.5))
    assert weights[0].argmax() == 3


class Wall(torch.nn.Module):
    """Opaque from x = 0.3 on."""

    def forward(self, x):
        return torch.cat([50.0 * (x[:, :1] > 0.3), torch.zeros(len(x), 3)], dim=1)


def test_points_go_where_the_field_is_seen():
    """Most of them about the wall, in order, on the ray, a tenth anywhere; random ones as those in the middles."""
    x = ray(200)
    moved = refined(Wall(), x, 200, 32)
    assert (moved[:, 6].diff() > 0).all()
    assert ((moved[:, 6] > 0) & (moved[:, 6] < 1.6)).all()
    torch.testing.assert_close(moved[:, 0], moved[:, 6] - 0.8)
    assert ((moved[:, 0] - 0.3).abs() < 0.11).sum() > 150
    assert (moved[:, 0] < -0.1).sum() >= 5
    torch.testing.assert_close(moved[:, 3:6], x[:, 3:6])
    torch.testing.assert_close(moved[:, 7:], x[:, 7:])
    assert refined(Wall(), x, 200, 0) is x


def test_points_are_a_function_of_the_generator():
    scene, term = Scene(size=8, views=4), Rendered(rays=5, samples=4)
    first, again, other = (term.points(scene, torch.Generator().manual_seed(k), 0.0) for k in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert {int(view) for view in first[:, 8]} <= set(scene.seen)
    known = term.known(scene, first).value
    torch.testing.assert_close(known, scene.pixels_of(first[:, 8].long(), first[:, 9].long()).to(known))


def test_gradients_equal_finite_differences():
    values = torch.rand(12, 4, requires_grad=True)
    x = along(Scene(size=8, views=4), torch.tensor([0, 1]), torch.tensor([27, 36]), torch.rand(2, 6)).double()
    assert torch.autograd.gradcheck(lambda v: composite(0.1 * v, x, 6, 1.0), values)


def test_is_for_scenes_alone():
    with pytest.raises(UserError, match="signal=scene"):
        Rendered().points(Image("skimage:camera", 16), torch.Generator(), 0.0)
