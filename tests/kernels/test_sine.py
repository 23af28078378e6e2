"""The layer of sines as one operation: the same numbers as by the rules of jets, however it is asked."""

from functools import partial

import numpy as np
import pytest
import torch
from discover import distance

from sinefield.jet import Jet, coordinates, elementwise, linear
from sinefield.kernels import base, sine
from sinefield.kernels.blas import FOUND
from sinefield.kernels.cpu import Compiled
from sinefield.kernels.tensors import Tensors

pytestmark = pytest.mark.usefixtures("float64")
every_way = pytest.mark.usefixtures("passes")

W, TOLERANCE = 30.0, 1e-12


@pytest.fixture(params=[Compiled, Tensors] if FOUND else [Tensors])
def passes(request, monkeypatch):
    """What the CPU does, and what an accelerator does."""
    monkeypatch.setattr(base, "passes", lambda like: request.param())
    return request.param()


def inputs(
    order: int, constant: bool, requires_grad: bool = True, channels: int = 5
) -> tuple[Jet, torch.Tensor, torch.Tensor]:
    """A random jet of 5 channels at 7 points, or the jet of coordinates; a weight and a bias for one more."""
    if constant:
        jet = coordinates(torch.rand(7, channels, requires_grad=requires_grad), order)
    else:
        shapes = [(7, channels), (2, 7, channels), (7, channels)]
        parts = [torch.randn(shape) for shape in shapes[: order + 1]]
        value, *rest = (part.requires_grad_(requires_grad) for part in parts)
        jet = Jet(value, *(part.permute(1, 2, 0) if part.ndim == 3 else part for part in rest))
    return (
        jet,
        torch.randn(channels + 1, channels, requires_grad=True) / 30,
        torch.randn(channels + 1, requires_grad=True),
    )


def plain(jet: Jet, weight: torch.Tensor, bias: torch.Tensor) -> Jet:
    return elementwise(linear(jet, weight, bias), partial(sine.sines, w=W))


def scalar(jet: Jet) -> torch.Tensor:
    """In which every number of the jet has a weight of its own."""
    return sum((torch.linspace(0.5, 2, part.numel()) * part.flatten()).sum() for part in jet if part is not None)


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("constant", [False, True])
def test_layer_is_the_rule_of_jets(order, constant):
    """Values, their derivatives by all inputs, and the derivatives of those."""
    jet, weight, bias = inputs(order, constant)
    leaves = [part for part in (*jet, weight, bias) if part is not None and part.requires_grad]
    results = []
    for rule in (partial(sine.layer, w=W), plain):
        found = rule(jet, weight, bias)
        once = torch.autograd.grad(scalar(found), leaves, retain_graph=True)
        recorded = torch.autograd.grad(scalar(found), leaves, create_graph=True)
        twice = torch.autograd.grad(sum(part.square().sum() for part in recorded), leaves)
        results.append([part for part in found if part is not None] + [*once, *recorded, *twice])
    assert len(results[0]) == len(results[1])
    for part, other in zip(*results, strict=True):
        assert distance(part, other) <= TOLERANCE


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
def test_pointwise_is_torchs(order):
    """sin, w cos and -w^2 sin, the same whether autograd is at work or not."""
    jet, weight, bias = inputs(0, constant=False)
    expected = sine.sines(jet.value @ weight.T + bias, order, W)
    with torch.no_grad():
        found = sine.pointwise(jet.value, weight, bias, order, W)
    for part, recorded, other in zip(found, sine.pointwise(jet.value, weight, bias, order, W), expected, strict=True):
        assert not part.requires_grad
        assert recorded.requires_grad
        assert distance(part, other) <= TOLERANCE
        assert distance(recorded, other) <= TOLERANCE


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
def test_inputs_that_need_no_derivative_get_none(order):
    """As the coordinates in the first layer: only the parameters' derivatives are there."""
    jet, weight, bias = inputs(order, constant=True, requires_grad=False)
    by_weight, by_bias = torch.autograd.grad(scalar(sine.layer(jet, weight, bias, W)), [weight, bias])
    other_weight, other_bias = torch.autograd.grad(scalar(plain(jet, weight, bias)), [weight, bias])
    assert distance(by_weight, other_weight) <= TOLERANCE
    assert distance(by_bias, other_bias) <= TOLERANCE


@pytest.mark.parametrize("order", [0, 1, 2])
def test_autocast_rounds_the_factors_of_products_alone(order):
    """Under bfloat16 all that comes out is in the input's precision, and off by bfloat16's rounding, some 1%."""
    jet, weight, bias = inputs(order, constant=False, channels=base.FEW)
    expected = plain(jet, weight, bias)
    wanted = torch.autograd.grad(scalar(expected), weight)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = sine.layer(jet, weight, bias, W)
        (given,) = torch.autograd.grad(scalar(found), weight)
    for part, other in zip(found, expected, strict=True):
        if part is not None:
            assert part.dtype == torch.float64
            assert 1e-6 < distance(part, other) < 0.05
    assert distance(given, wanted) < 0.05


def test_autocast_leaves_coordinates_as_they_are():
    """What has few numbers to a sum comes out as without it."""
    jet, weight, bias = inputs(0, constant=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = sine.layer(jet, weight, bias, W).value
    assert distance(found, plain(jet, weight, bias).value) <= TOLERANCE


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1.5e-7), (torch.float64, 3e-16)])
@pytest.mark.parametrize("span", [1.0, 1e3, 1e9])  # the last beyond what the loops reduce themselves
def test_sines_are_exact_to_rounding(passes, dtype, tolerance, span):
    """Against the sine of numpy in its longest numbers."""
    angle = torch.linspace(-span, span, 60_000, dtype=dtype).reshape(600, 100)
    value, cosine = passes.sine_cosine(angle, torch.eye(100, dtype=dtype), angle.new_zeros(100), 1.0)
    exact = angle.numpy().astype(np.longdouble)
    assert np.abs(value.numpy() - np.sin(exact)).max() <= tolerance
    assert np.abs(cosine.numpy() - np.cos(exact)).max() <= tolerance


def test_what_is_no_number_stays_none(passes):
    value, cosine = passes.sine_cosine(
        torch.tensor([[1.0], [torch.nan], [torch.inf]]), torch.ones(1, 1), torch.zeros(1), 1.0
    )
    assert value.isnan().tolist() == cosine.isnan().tolist() == [[False], [True], [True]]


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
def test_numbers_stay_short(order):
    """In float32 nothing is computed in more, and the result is that of float64 to its rounding."""
    jet, weight, bias = inputs(order, constant=False)
    leaves = [part for part in (*jet, weight, bias) if part is not None]
    exact = torch.autograd.grad(scalar(sine.layer(jet, weight, bias, W)), leaves)
    short = [part.detach().float().requires_grad_() for part in leaves]
    *parts, weight, bias = short
    found = torch.autograd.grad(scalar(sine.layer(Jet(*parts), weight, bias, W)), short)
    for part, other in zip(found, exact, strict=True):
        assert part.dtype == torch.float32
        assert distance(part.double(), other) < 1e-5


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
def test_stack_is_each_network_alone(order):
    """Values and the parameters' derivatives of three networks at once."""
    alone = [inputs(order, constant=False) for _ in range(3)]
    weight, bias = (torch.stack(parts).detach().requires_grad_() for parts in list(zip(*alone, strict=True))[1:])
    jets = zip(*(jet for jet, *_ in alone), strict=True)
    together = Jet(*(None if parts[0] is None else torch.stack(parts).detach() for parts in jets))
    found = sine.layer(together, weight, bias, W)
    gradients = torch.autograd.grad(found.value.square().sum(), [weight, bias])
    for k, (jet, own_weight, own_bias) in enumerate(alone):
        expected = sine.layer(jet, own_weight, own_bias, W)
        for part, other in zip(found, expected, strict=True):
            assert part is None or distance(part[k], other) <= TOLERANCE
        owns = torch.autograd.grad(expected.value.square().sum(), [own_weight, own_bias])
        for gradient, own in zip(gradients, owns, strict=True):
            assert distance(gradient[k], own) <= TOLERANCE


@every_way
def test_a_derivative_alike_at_all_points_may_want_its_own():
    alike = torch.randn(2, 1, 5, requires_grad=True)
    jet, weight, bias = inputs(0, constant=False)
    found = [
        torch.autograd.grad(scalar(rule(Jet(jet.value, alike.expand(2, 7, 5).permute(1, 2, 0)), weight, bias)), alike)[
            0
        ]
        for rule in (partial(sine.layer, w=W), plain)
    ]
    assert distance(*found) <= TOLERANCE


@every_way
def test_autocast_at_the_way_back_changes_nothing():
    """A gradient is as exact as what it is the gradient of."""
    jet, weight, bias = inputs(1, constant=False)
    (expected,) = torch.autograd.grad(scalar(sine.layer(jet, weight, bias, W)), weight)
    found = sine.layer(jet, weight, bias, W)
    with torch.autocast("cpu", torch.bfloat16):
        (given,) = torch.autograd.grad(scalar(found), weight)
    assert torch.equal(given, expected)
