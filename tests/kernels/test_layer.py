"""The layer of sines as one operation: the same numbers as by the rules of jets, however it is asked."""

from functools import partial

import numpy as np
import pytest
import torch
from discover import distance

from sinefield.core.autocast import MIN_PRODUCT
from sinefield.core.jet import Jet, coordinates, elementwise, linear
from sinefield.kernels import compiled, operations
from sinefield.kernels import layer as kernel

pytestmark = pytest.mark.usefixtures("float64")
W, TOLERANCE = 30.0, 1e-12
OPERATORS = ["laplacian", "axes", "any"]


@pytest.fixture(params=[compiled, operations], ids=["compiled", "operations"])
def backend(request, monkeypatch):
    """What the CPU does, and what an accelerator does."""
    monkeypatch.setattr(kernel, "backend", lambda like: request.param)
    return request.param


every_way = pytest.mark.usefixtures("backend")


def operators(kind: str, dims: int) -> torch.Tensor | None:
    """A, (M, D); None for the Laplacian."""
    return {"laplacian": None, "axes": torch.eye(dims), "any": torch.randn(3, dims)}[kind]


def inputs(
    order: int,
    constant: bool = False,
    requires_grad: bool = True,
    channels: int = 5,
    kind: str = "laplacian",
) -> tuple[Jet, torch.Tensor, torch.Tensor]:
    """A random jet of 5 channels at 7 points, or the jet of coordinates; a weight and a bias for one more."""
    dims = channels if constant else 2
    a = operators(kind, dims) if order == 2 else None
    if constant:
        jet = coordinates(torch.rand(7, channels, requires_grad=requires_grad), order, a)
    else:
        shapes = [(7, channels), (7, channels, 2), (7, channels, 1 if a is None else len(a))]
        parts = [torch.randn(shape).requires_grad_(requires_grad) for shape in shapes[: order + 1]]
        jet = Jet(*parts)._replace(operators=a)
    return (
        jet,
        torch.randn(channels + 1, channels, requires_grad=True) / 30,
        torch.randn(channels + 1, requires_grad=True),
    )


def plain(jet: Jet, weight: torch.Tensor, bias: torch.Tensor) -> Jet:
    return elementwise(linear(jet, weight, bias), partial(kernel.sines, w=W))


def layer(jet: Jet, weight: torch.Tensor, bias: torch.Tensor) -> Jet:
    return kernel.layer(jet, weight, bias, W)


def scalar(jet: Jet) -> torch.Tensor:
    """In which every number of the jet has a weight of its own."""
    return sum((torch.linspace(0.5, 2, part.numel()) * part.flatten()).sum() for part in jet.parts)


@every_way
@pytest.mark.parametrize(("order", "kind"), [(0, "laplacian"), (1, "laplacian"), *((2, kind) for kind in OPERATORS)])
@pytest.mark.parametrize("constant", [False, True])
def test_layer_is_the_rule_of_jets(order, kind, constant):
    """Values, their derivatives by all inputs, and the derivatives of those."""
    jet, weight, bias = inputs(order, constant, kind=kind)
    leaves = [part for part in (*jet.parts, weight, bias) if part.requires_grad]
    results = []
    for rule in (layer, plain):
        found = rule(jet, weight, bias)
        once = torch.autograd.grad(scalar(found), leaves, retain_graph=True)
        recorded = torch.autograd.grad(scalar(found), leaves, create_graph=True)
        twice = torch.autograd.grad(sum(part.square().sum() for part in recorded), leaves)
        results.append([*found.parts, *once, *recorded, *twice])
        assert found.operators is jet.operators
    for part, other in zip(*results, strict=True):
        assert distance(part, other) <= TOLERANCE


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
def test_inputs_that_need_no_derivative_get_none(order):
    """As the coordinates in the first layer: only the parameters' derivatives are there."""
    jet, weight, bias = inputs(order, constant=True, requires_grad=False)
    found, expected = (torch.autograd.grad(scalar(rule(jet, weight, bias)), [weight, bias]) for rule in (layer, plain))
    for part, other in zip(found, expected, strict=True):
        assert distance(part, other) <= TOLERANCE


@pytest.mark.parametrize("order", [0, 1, 2])
def test_autocast_rounds_the_factors_of_products_alone(order):
    """Under bfloat16 all that comes out is in the input's precision, and off by bfloat16's rounding, some 1%."""
    jet, weight, bias = inputs(order, channels=MIN_PRODUCT)
    expected = plain(jet, weight, bias)
    wanted = torch.autograd.grad(scalar(expected), weight)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(jet, weight, bias)
        (given,) = torch.autograd.grad(scalar(found), weight)
    for part, other in zip(found.parts, expected.parts, strict=True):
        assert part.dtype == torch.float64
        assert 1e-6 < distance(part, other) < 0.05
    assert distance(given, wanted) < 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_coordinates_as_they_are(dtype):
    """What has few numbers to a sum comes out as without it."""
    jet, weight, bias = inputs(0, constant=True)
    with torch.autocast("cpu", dtype):
        found = layer(jet, weight, bias).value
    assert distance(found, plain(jet, weight, bias).value) <= TOLERANCE


@every_way
def test_autocast_at_the_way_back_changes_nothing():
    """A gradient is as exact as what it is the gradient of."""
    jet, weight, bias = inputs(1)
    (expected,) = torch.autograd.grad(scalar(layer(jet, weight, bias)), weight)
    found = layer(jet, weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        (given,) = torch.autograd.grad(scalar(found), weight)
    assert torch.equal(given, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1.5e-7), (torch.float64, 3e-16)])
@pytest.mark.parametrize("span", [1.0, 1e3, 1e9])  # the last beyond what the loops reduce themselves
def test_sines_are_exact_to_rounding(backend, dtype, tolerance, span):
    """Against the sine of numpy in its longest numbers."""
    angle = torch.linspace(-span, span, 60_000, dtype=dtype).reshape(600, 100)
    value, cosine = backend.sine_cosine(angle, 1.0)
    exact = angle.numpy().astype(np.longdouble)
    assert np.abs(value.numpy() - np.sin(exact)).max() <= tolerance
    assert np.abs(cosine.numpy() - np.cos(exact)).max() <= tolerance


def test_what_is_no_number_stays_none(backend):
    value, cosine = backend.sine_cosine(torch.tensor([[1.0], [torch.nan], [torch.inf]]), 1.0)
    assert value.isnan().tolist() == cosine.isnan().tolist() == [[False], [True], [True]]


@every_way
@pytest.mark.parametrize("order", [0, 1, 2])
def test_numbers_stay_short(order):
    """In float32 nothing is computed in more, and the result is that of float64 to its rounding."""
    jet, weight, bias = inputs(order)
    leaves = [*jet.parts, weight, bias]
    exact = torch.autograd.grad(scalar(layer(jet, weight, bias)), leaves)
    short = [part.detach().float().requires_grad_() for part in leaves]
    *parts, weight, bias = short
    found = torch.autograd.grad(scalar(layer(Jet(*parts), weight, bias)), short)
    for part, other in zip(found, exact, strict=True):
        assert part.dtype == torch.float32
        assert distance(part.double(), other) < 1e-5


@every_way
@pytest.mark.parametrize(("order", "kind"), [(0, "laplacian"), (1, "laplacian"), (2, "laplacian"), (2, "any")])
def test_stack_is_each_network_alone(order, kind):
    """Values and the parameters' derivatives of three networks at once."""
    alone = [inputs(order, kind=kind) for _ in range(3)]
    a = alone[0][0].operators
    alone = [(jet._replace(operators=a), weight, bias) for jet, weight, bias in alone]
    weight, bias = (torch.stack(parts).detach().requires_grad_() for parts in list(zip(*alone, strict=True))[1:])
    jets = zip(*(jet.parts for jet, *_ in alone), strict=True)
    together = alone[0][0].of([torch.stack(parts).detach() for parts in jets])
    found = layer(together, weight, bias)
    gradients = torch.autograd.grad(scalar(found), [weight, bias])
    for k, own in enumerate(alone):
        for part, other in zip(found.parts, layer(*own).parts, strict=True):
            assert distance(part[k], other) <= TOLERANCE
    expected = torch.autograd.grad(scalar(plain(together, weight, bias)), [weight, bias])
    for gradient, other in zip(gradients, expected, strict=True):
        assert distance(gradient, other) <= TOLERANCE


@every_way
def test_a_derivative_alike_at_all_points_may_want_its_own():
    alike = torch.randn(1, 5, 2, requires_grad=True)
    jet, weight, bias = inputs(0)
    jet = Jet(jet.value, alike.expand(7, 5, 2))
    found = [torch.autograd.grad(scalar(rule(jet, weight, bias)), alike)[0] for rule in (layer, plain)]
    assert distance(*found) <= TOLERANCE
