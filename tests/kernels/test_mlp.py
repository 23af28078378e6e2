"""A network as one operation: the same numbers, and derivatives of any order, as layer by layer."""

from itertools import pairwise

import pytest
import torch
from discover import distance
from torch import nn

from sinefield.activations.sine import Sine
from sinefield.activations.softplus import Softplus
from sinefield.kernels import base, mlp
from sinefield.kernels.blas import FOUND
from sinefield.kernels.cpu import Compiled
from sinefield.kernels.tensors import Tensors

pytestmark = pytest.mark.usefixtures("float64", "passes")

TOLERANCE = 1e-12


@pytest.fixture(params=[Compiled, Tensors] if FOUND else [Tensors])
def passes(request, monkeypatch):
    """What the CPU does, and what an accelerator does."""
    monkeypatch.setattr(base, "passes", lambda like: request.param())


def maps(channels: int, depth: int, stack: tuple[int, ...] = ()) -> list[nn.Linear]:
    """Linear maps from 3 features to `channels`, of K networks with `stack`."""
    widths = [3] + [6] * (depth + 1) + [channels]
    layers = [nn.Linear(*pair) for pair in pairwise(widths)]
    for layer in layers:
        layer.weight = nn.Parameter(torch.randn(*stack, *layer.weight.shape) / 3)
        layer.bias = nn.Parameter(torch.randn(*stack, *layer.bias.shape))
    return layers


def scalar(*parts: torch.Tensor) -> torch.Tensor:
    """In which every number has a weight of its own."""
    return sum((torch.linspace(0.5, 2, part.numel()) * part.flatten()).sum() for part in parts)


@pytest.mark.parametrize("activation", [Sine(omega0=2.0, hidden_omega0=3.0), Softplus()], ids=["sine", "softplus"])
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stack", [(), (4,)])
@pytest.mark.parametrize("moved", [False, True], ids=["weights", "points"])
def test_value_and_sweep_are_those_layer_by_layer(activation, depth, channels, stack, moved):
    """And their derivatives by the weights, and the points; and the derivatives of those."""
    layers = maps(channels, depth, stack)
    h = torch.randn(*stack, 7, 3, requires_grad=moved)
    parameters = [part for layer in layers for part in (layer.weight, layer.bias)]
    leaves = [h] * moved + parameters
    for written, plain in (
        (lambda: [mlp.value(activation.pointwise, h, layers)], mlp._plain_value),
        (lambda: mlp.swept(activation.pointwise, h, layers), mlp._plain_swept),
    ):
        results = []
        for found in (written(), plain(activation.pointwise, h, *parameters)):
            once = torch.autograd.grad(scalar(*found), leaves, retain_graph=True, materialize_grads=True)
            again = torch.autograd.grad(scalar(*found), leaves, create_graph=True, materialize_grads=True)
            twice = torch.autograd.grad(sum(part.square().sum() for part in again), leaves, materialize_grads=True)
            results.append([*found, *once, *again, *twice])
        for part, other in zip(*results, strict=True):
            assert distance(part, other) <= TOLERANCE


@pytest.mark.parametrize("part", [0, 1], ids=["value", "sweep"])
def test_one_of_the_two_may_be_left_unused(part):
    """A loss on the gradient alone gives the weights the derivatives of that alone."""
    layers = maps(2, 1)
    parameters, h = [p for layer in layers for p in (layer.weight, layer.bias)], torch.randn(7, 3)
    found = mlp.swept(Sine(2.0).pointwise, h, layers)
    expected = mlp._plain_swept(Sine(2.0).pointwise, h, *parameters)
    for gradient, other in zip(
        *(torch.autograd.grad(scalar(both[part]), parameters, materialize_grads=True) for both in (found, expected)),
        strict=True,
    ):
        assert distance(gradient, other) <= TOLERANCE


def test_nothing_is_kept_where_nothing_is_recorded():
    """Without autograd both are the plain ones, need no gradient, and ask no layer for its second derivative."""
    layers, h, orders = maps(2, 2), torch.randn(7, 3), []
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]

    def pointwise(h, weight, bias, order, first):
        orders.append(order)
        return Sine(2.0).pointwise(h, weight, bias, order, first)

    with torch.no_grad():
        found = [mlp.value(pointwise, h, layers), *mlp.swept(pointwise, h, layers)]
    assert orders == [0, 0, 0, 1, 1, 1]
    for part, other in zip(found[1:], mlp._plain_swept(Sine(2.0).pointwise, h, *parameters), strict=True):
        assert not part.requires_grad
        assert distance(part, other) <= TOLERANCE
    assert torch.equal(*found[:2])
