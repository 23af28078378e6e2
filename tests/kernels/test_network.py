"""A network as one operation: the same numbers, and derivatives of any order, as layer by layer."""

from itertools import pairwise

import pytest
import torch
from discover import distance
from torch import Tensor

from sinefield.activations.sine import Sine
from sinefield.activations.softplus import Softplus
from sinefield.kernels import compiled, network, operations
from sinefield.kernels import layer as kernel

pytestmark = pytest.mark.usefixtures("float64", "backend")

TOLERANCE = 1e-12


@pytest.fixture(params=[compiled, operations], ids=["compiled", "operations"])
def backend(request, monkeypatch):
    """What the CPU does, and what an accelerator does."""
    monkeypatch.setattr(kernel, "backend", lambda like: request.param)


def maps(channels: int, depth: int, stack: tuple[int, ...] = ()) -> list[Tensor]:
    """W and b of the linear maps from 3 features to `channels`, of K networks with `stack`."""
    widths = [3] + [6] * (depth + 1) + [channels]
    shapes = [shape for before, after in pairwise(widths) for shape in ((after, before), (after,))]
    return [(torch.randn(*stack, *shape) / 3).requires_grad_() for shape in shapes]


def scalar(*parts: Tensor) -> Tensor:
    """In which every number has a weight of its own."""
    return sum((torch.linspace(0.5, 2, part.numel()) * part.flatten()).sum() for part in parts)


@pytest.mark.parametrize("activation", [Sine(omega0=2.0, hidden_omega0=3.0), Softplus()], ids=["sine", "softplus"])
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stack", [(), (4,)])
@pytest.mark.parametrize("moved", [False, True], ids=["weights", "points"])
def test_value_and_gradient_are_those_layer_by_layer(activation, depth, channels, stack, moved):
    """And their derivatives by the weights, and the points; and the derivatives of those."""
    parameters = maps(channels, depth, stack)
    h = torch.randn(*stack, 7, 3, requires_grad=moved)
    leaves = [h] * moved + parameters
    for written, reverse in (
        (lambda: [network.value(activation, h, parameters)], False),
        (lambda: network.reverse_gradient(activation, h, parameters), True),
    ):
        results = []
        for found in (written(), network.plain(activation, reverse, h, *parameters)):
            once = torch.autograd.grad(scalar(*found), leaves, retain_graph=True, materialize_grads=True)
            again = torch.autograd.grad(scalar(*found), leaves, create_graph=True, materialize_grads=True)
            twice = torch.autograd.grad(sum(part.square().sum() for part in again), leaves, materialize_grads=True)
            results.append([*found, *once, *again, *twice])
        for part, other in zip(*results, strict=True):
            assert distance(part, other) <= TOLERANCE


@pytest.mark.parametrize("part", [0, 1], ids=["value", "gradient"])
def test_one_of_the_two_may_be_left_unused(part):
    """A loss on the gradient alone gives the weights the derivatives of that alone."""
    parameters, h, sine = maps(2, 1), torch.randn(7, 3), Sine(2.0)
    both = network.reverse_gradient(sine, h, parameters), network.plain(sine, True, h, *parameters)
    found, expected = (torch.autograd.grad(scalar(its[part]), parameters, materialize_grads=True) for its in both)
    for gradient, other in zip(found, expected, strict=True):
        assert distance(gradient, other) <= TOLERANCE


def test_nothing_is_kept_where_nothing_is_recorded():
    """Without autograd both are the plain ones, need no gradient, and ask no layer for its second derivative."""
    parameters, h, orders = maps(2, 2), torch.randn(7, 3), []

    def pointwise(z, order, first):
        orders.append(order)
        return Sine(2.0)(z, order, first)

    with torch.no_grad():
        found = [network.value(pointwise, h, parameters), *network.reverse_gradient(pointwise, h, parameters)]
    assert orders == [0, 0, 0, 1, 1, 1]
    for part, other in zip(found[1:], network.plain(Sine(2.0), True, h, *parameters), strict=True):
        assert not part.requires_grad
        assert distance(part, other) <= TOLERANCE
    assert torch.equal(*found[:2])
