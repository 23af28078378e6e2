"""A linear space of functions against principal components, and its code against the formula by hand."""

import numpy as np
import pytest
import torch

from sinefield.activations.sine import Sine
from sinefield.encodings.radial import Radial
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
    found = field.values(field.encode(some), x)
    assert torch.allclose(found, Components(pictures, CODE).complete(some), atol=1e-3)


def test_the_code_is_the_most_likely_one(field, pictures, x) -> None:
    """Its energy is least: its gradient vanishes there, by autograd."""
    some = observed(pictures[:3], x, 0.4)
    code = field.encode(some).detach().requires_grad_()
    error = (field.values(code, x) - some.values) * some.seen[..., None]
    energy = error.square().sum() / field.rest.exp() + code.square().sum()
    (gradient,) = torch.autograd.grad(energy, code)
    assert gradient.abs().max() < 1e-9
    assert torch.equal(field.refine(some, torch.ones(CODE)), code)


def test_no_pixel_seen_is_the_mean(field, pictures, x) -> None:
    nothing = observed(pictures[:2], x, 0.0)
    assert field.encode(nothing).abs().max() == 0


def test_fewer_pictures_than_numbers_of_a_code(field, pictures, x) -> None:
    """Directions that pictures say nothing about do nothing."""
    field.begin(x, pictures[:3])
    assert field.directions[2:].abs().max() == 0
    assert field.encode(observed(pictures[:1], x, 1.0))[:, 2:].abs().max() == 0


def tuned(field, some):
    """(P, S, C), and before it was tuned."""
    code = field.encode(some)
    stack = field.tune(code, some)
    return stack.jet(some.x.expand(len(code), -1, -1), 0).value, field.values(code, some.x)


def test_tuned_it_has_the_pixels_seen_and_with_none_it_stays(field, pictures, x) -> None:
    field.begin(x, pictures)
    some = observed(pictures[:3], x, 0.5)
    found, before = tuned(field, some)
    off, was = ((each - pictures[:3])[some.seen].square().mean() for each in (found, before))
    assert off < 0.1 * was
    assert torch.allclose(*tuned(field, observed(pictures[:3], x, 0.0)))


@pytest.mark.parametrize("few", [3, 40])
def test_tuned_it_is_the_likeliest_by_the_covariance_of_what_codes_leave(field, pictures, x, few) -> None:
    """Kriging of what is left by hand, with the covariance of what codes leave and the stationary one like it."""
    field.begin(x, pictures[:few])
    left, halves = [], pictures[:few].flatten(1).tensor_split(2)
    for one, other in (halves, halves[::-1]):
        _, _, along = torch.linalg.svd(other - other.mean(0), full_matrices=False)
        along = along[: min(CODE, len(other) - 1)]
        left.append((one - other.mean(0)) @ (torch.eye(along.shape[1]) - along.T @ along))
    off = torch.cat(left).unflatten(1, (-1, CHANNELS))
    rest, count = off.square().mean(), few * CHANNELS
    own = torch.zeros(len(x), len(x))
    for picture in off:
        own += picture @ picture.T / (picture.square().mean() + 1e-3 * rest) / count
    share, alike = (len(x) / (len(x) + count)) ** 0.5, {}
    for (i, j), value in np.ndenumerate(own.numpy()):
        alike.setdefault((i // SIDE - j // SIDE, i % SIDE - j % SIDE), []).append(value)
    means = {apart: np.mean(values) for apart, values in alike.items()}
    index = np.arange(len(x))
    rows, columns = (np.subtract.outer(part, part) for part in (index // SIDE, index % SIDE))
    stationary = torch.from_numpy(np.vectorize(lambda a, b: means[a, b])(rows, columns))
    covariance = rest * ((1 - share) * own + share * stationary)
    squares, mixtures = torch.linalg.eigh(covariance)
    covariance = mixtures * squares.clamp(min=0) @ mixtures.T
    some = observed(pictures[-2:], x, 0.4)
    found, before = tuned(field, some)
    for k, seen in enumerate(some.seen):
        inner = covariance[seen][:, seen] + 1e-5 * torch.eye(int(seen.sum()))
        towards = covariance[:, seen] @ torch.linalg.solve(inner, (some.values[k] - before[k])[seen])
        assert torch.allclose(found[k], before[k] + towards, atol=1e-3)


def test_what_is_left_of_few_pictures_is_not_nothing(pictures) -> None:
    """As many pictures as numbers of a code have no rest of their own, and others have."""
    few = Components(pictures[:CODE], CODE)
    assert few.rest > 0.5 * pictures[CODE:].var()
    many = Components(pictures, CODE).rest
    assert 0.5 * (0.1 / 5) ** 2 < many < 2 * (0.1 / 5) ** 2
