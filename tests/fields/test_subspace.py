"""A linear space of functions against principal components, and its code against the formula by hand."""

import pytest
import torch

from sinefield.activations.sine import Sine
from sinefield.encodings.radial import Radial
from sinefield.fields import completion
from sinefield.fields.components import Components
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.subspace import Subspace

pytestmark = pytest.mark.usefixtures("float64")
SIDE, CHANNELS, CODE = 6, 2, 5


@pytest.fixture
def pictures():
    """40 pictures near a space of dimension 5."""
    parts = torch.randn(40, CODE) @ torch.randn(CODE, SIDE**2 * CHANNELS)
    return (parts + 0.1 * torch.randn_like(parts)).unflatten(1, (SIDE**2, CHANNELS)) / 5 + 0.2


@pytest.fixture
def x():
    along = torch.linspace(-1, 1, SIDE)
    return torch.cartesian_prod(along, along).flip(-1)


@pytest.fixture
def field():
    """With more features than there are pixels, so that every picture can be written in them."""
    encoding = Radial(2, frequencies=40, highest=2.5, exponent=0.5)
    return Subspace(CoordinateMLP(2, CHANNELS, 1, -1, activation=Sine(), encoding=encoding), 2, CODE)


def observed(pictures, x, share):
    seen = torch.rand(pictures.shape[:2]) < share
    numbers = torch.arange(len(pictures))
    return Observation(numbers, 0 * numbers, x, pictures * seen[..., None], seen, (SIDE, SIDE))


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_starts_as_the_principal_components(field, pictures, x, share) -> None:
    """The same completions, from few pixels and from all."""
    field.begin(x, pictures)
    some = observed(pictures[:7], x, share)
    found = completion.values(field, field.encode(some), x)
    assert torch.allclose(found, Components(pictures, CODE).complete(some), atol=1e-3)


def test_the_code_is_the_most_likely_one(field, pictures, x) -> None:
    """Its energy is least: its gradient vanishes there, by autograd."""
    some = observed(pictures[:3], x, 0.4)
    code = field.encode(some).detach().requires_grad_()
    error = (completion.values(field, code, x) - some.values) * some.seen[..., None]
    energy = error.square().sum() / field.rest.exp() + code.square().sum()
    (gradient,) = torch.autograd.grad(energy, code)
    assert gradient.abs().max() < 1e-9
    assert torch.equal(completion.refine(field, some, torch.ones(CODE)), code)


def test_no_pixel_seen_is_the_mean(field, pictures, x) -> None:
    nothing = observed(pictures[:2], x, 0.0)
    assert field.encode(nothing).abs().max() == 0


def test_fewer_pictures_than_numbers_of_a_code(field, pictures, x) -> None:
    """Directions that pictures say nothing about do nothing."""
    field.begin(x, pictures[:3])
    assert field.directions[2:].abs().max() == 0
    assert field.encode(observed(pictures[:1], x, 1.0))[:, 2:].abs().max() == 0


def test_tuned_it_has_what_is_seen_and_else_what_the_code_says(field, pictures, x) -> None:
    """All pixels that are seen; with none the function of the code."""
    field.begin(x, pictures)
    some = observed(pictures[:3], x, 0.5)
    code = field.encode(some)
    tuned = completion.tune(field, code, some).jet(x.expand(3, -1, -1), 0).value
    before = completion.values(field, code, x)
    assert (tuned - pictures[:3])[some.seen].abs().mean() < 0.6 * (before - pictures[:3])[some.seen].abs().mean()
    nothing = observed(pictures[:3], x, 0.0)
    same = completion.tune(field, code, nothing).jet(x.expand(3, -1, -1), 0).value
    assert torch.allclose(same, before)
