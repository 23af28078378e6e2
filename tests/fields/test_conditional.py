"""A field for each of many pictures equals, picture by picture, a plain network with the weights that were made."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.conditional import Conditional, Made, Observation
from sinefield.fields.mlp import Siren
from sinefield.fields.stack import select_fields, stack_fields

pytestmark = pytest.mark.usefixtures("float64")


class Shifted(Conditional):
    """Its first layer is moved by the mean of what is seen."""

    def make(self, observation):
        mean = (observation.values * observation.seen[..., None]).mean((1, 2))
        bias = self.base.layers[0].bias + mean[:, None]
        return Made({"layers.0.bias": bias}, torch.stack([mean.square(), bias.square().mean(-1)], dim=1))


def look(numbers, views):
    """Picture k is k everywhere, of which every point is seen."""
    values = numbers.double()[:, None, None].expand(-1, 4, 1)
    return Observation(numbers, views, torch.zeros(4, 2), values, torch.ones(len(numbers), 4, dtype=bool), (2, 2))


@pytest.fixture
def field() -> Shifted:
    torch.manual_seed(0)
    field = Shifted(Siren(2, 3, width=8, depth=1), dims=2)
    field.observe(look)
    return field


def points() -> torch.Tensor:
    """Of three pictures, mixed and in unequal numbers."""
    numbers = torch.tensor([2.0, 0.0, 1.0, 2.0, 2.0, 1.0, 0.0])
    return torch.cat([torch.rand(7, 2) * 2 - 1, numbers[:, None], torch.zeros(7, 1)], dim=1)


def test_jet_is_that_of_each_picture_alone(field):
    """Value, gradient and second derivatives, by nested autograd of the plain network of each picture."""
    x = points()
    found = field.jet(x, order=2, operators=torch.eye(2))
    for k in range(3):
        rows = x[:, 2] == k
        plain = field.alone(look(torch.tensor([k]), torch.tensor([0])))
        expected = autograd_jet(plain, x[rows, :2], 2, torch.eye(2))
        for part, other in zip(found.parts, expected.parts, strict=True):
            torch.testing.assert_close(part[rows], other)
    assert torch.equal(found.sizes[:, 0], x[:, 2].square())


def test_gradients_reach_the_base_and_what_makes_it(field):
    """As those of the plain networks, summed."""
    x = points()
    field.jet(x, order=1).gradient.square().sum().backward()
    found = field.base.layers[1].weight.grad.clone()
    field.zero_grad()
    for k in range(3):
        mine = x[x[:, 2] == k]
        jet = autograd_jet(
            lambda z, k=k: field(torch.cat([z, torch.full_like(z[:, :1], k), z[:, :1] * 0], 1)), mine[:, :2], 1
        )
        jet.gradient.square().sum().backward()
    torch.testing.assert_close(found, field.base.layers[1].weight.grad)


def test_points_of_their_own_for_each_of_a_stack():
    """(K, N, D) coordinates: network k at its own N."""
    stack = stack_fields([Siren(2, 1, width=8, depth=1) for _ in range(3)])
    x = torch.rand(3, 5, 2)
    for order in (0, 1, 2):
        found = stack.jet(x, order)
        for k in range(3):
            for part, other in zip(found.parts, select_fields(stack, k).jet(x[k], order).parts, strict=True):
                torch.testing.assert_close(part[k], other)


def test_without_pictures_it_says_so(field):
    field.look = None
    with pytest.raises(UserError, match="no pictures"):
        field(points())


def test_two_threads_at_once_find_what_one_finds(field):
    """Each has the networks of its own pictures: no thread sees the weights that another has made."""
    x = points()
    halves = x[:4], x[3:]

    def gradient(x):
        found = field.jet(x, order=1)
        return torch.autograd.grad(sum(part.square().sum() for part in found.parts), list(field.parameters()))

    expected = [gradient(x) for x in halves]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            for found, known in zip(pool.map(gradient, halves), expected, strict=True):
                torch.testing.assert_close(found, known)
