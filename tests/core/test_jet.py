"""The jet's rules and its autograd oracle, both against closed forms in float64."""

import math

import pytest
import torch
from discover import distance

from sinefield.core.autocast import MIN_PRODUCT
from sinefield.core.jet import Jet, autograd_jet, concatenate, coordinates, elementwise, joined, linear

ROUNDING = 1e-13  # a dozen float64 operations; norm-wise relative
DIMS, CHANNELS = (1, 2, 3, 4), (1, 3)


def operators(kind: str, dims: int) -> torch.Tensor | None:
    """A, (M, D): None stands for ones(1, D), the Laplacian."""
    return {"laplacian": None, "ones": torch.ones(1, dims), "axes": torch.eye(dims), "any": torch.randn(5, dims)}[kind]


def weights(a: torch.Tensor | None, dims: int) -> torch.Tensor:
    return torch.ones(1, dims) if a is None else a


def square(z, order):
    return (z * z, 2 * z, torch.full_like(z, 2.0))[: order + 1]


def sine(z, order):
    return (z.sin(), z.cos(), -z.sin())[: order + 1]


def assert_close(found: Jet, expected: Jet, tolerance: float = ROUNDING) -> None:
    for part, other in zip(found.parts, expected.parts, strict=True):
        assert distance(part, other) <= tolerance
    assert found.operators is expected.operators


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kind", ["laplacian", "ones", "axes", "any"])
class TestSecondDerivatives:
    """Closed forms, for the Laplacian, all second derivatives along the axes, and any weighted sums of them."""

    def test_autograd_of_a_quadratic_form(self, dims, channels, kind):
        """f_c = x^T Q_c x + b_c . x has gradient (Q_c + Q_c^T) x + b_c and d2f/dx_d2 = 2 Q_c,dd."""
        asked = operators(kind, dims)
        a, b, x = torch.randn(channels, dims, dims), torch.randn(channels, dims), torch.randn(7, dims)
        both = a + a.mT
        expected = Jet(
            torch.einsum("ni,cij,nj->nc", x, a, x) + x @ b.T,
            torch.einsum("cij,nj->nci", both, x) + b,
            (both.diagonal(dim1=1, dim2=2) @ weights(asked, dims).T).expand(7, -1, -1),
            asked,
        )
        found = autograd_jet(lambda x: torch.einsum("ni,cij,nj->nc", x, a, x) + x @ b.T, x, 2, asked)
        assert_close(found, expected)

    def test_rules_on_a_sum_of_squares(self, dims, channels, kind):
        """f = V (U x + b)^2 + d has gradient 2 V diag(U x + b) U and d2f/dx_d2 = 2 V U_kd^2."""
        asked = operators(kind, dims)
        u, b, v, d = torch.randn(5, dims), torch.randn(5), torch.randn(channels, 5), torch.randn(channels)
        x = torch.randn(7, dims)
        z = x @ u.T + b
        expected = Jet(
            z.square() @ v.T + d,
            2 * torch.einsum("ck,nk,kd->ncd", v, z, u),
            (2 * v @ u.square() @ weights(asked, dims).T).expand(7, -1, -1),
            asked,
        )
        found = linear(elementwise(linear(coordinates(x, 2, asked), u, b), square), v, d)
        assert_close(found, expected)

    def test_rules_on_a_function_of_a_curved_function(self, dims, channels, kind):
        """sin(a |x|^2) has gradient 2 a x cos and d2f/dx_d2 = 2 a cos - 4 a^2 x_d^2 sin: both terms of the rule."""
        asked = operators(kind, dims)
        a, x = torch.linspace(0.5, 1.5, channels), torch.randn(7, dims)
        r2 = x.square().sum(1, keepdim=True)
        angle = a * r2
        expected = Jet(
            angle.sin(),
            2 * (a * angle.cos()).unsqueeze(2) * x.unsqueeze(1),
            (2 * (a * angle.cos())[..., None] - 4 * (a * a * angle.sin())[..., None] * x.square()[:, None])
            @ weights(asked, dims).T,
            asked,
        )
        squares = elementwise(coordinates(x, 2, asked), square)
        assert_close(elementwise(linear(squares, a[:, None].expand(channels, dims)), sine), expected)
        assert_close(autograd_jet(lambda x: (a * x.square().sum(1, keepdim=True)).sin(), x, 2, asked), expected)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("channels", CHANNELS)
class TestParts:
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_order_gives_exactly_the_parts_asked_for(self, dims, channels, order):
        """Order 0, 1, 2: (N, C), and (N, C, D), and (N, C, 1); what was not asked for is None."""
        x, w = torch.randn(7, dims), torch.randn(channels, dims)
        shapes = [(7, channels), (7, channels, dims), (7, channels, 1)]
        wanted = [shape if depth <= order else None for depth, shape in enumerate(shapes)]
        layer = linear(coordinates(x, order), w)
        for jet in (
            layer,
            elementwise(layer, sine),
            autograd_jet(lambda x: (x @ w.T).sin(), x, order),
            concatenate([layer]),
            layer.map(torch.clone),
        ):
            assert [None if part is None else tuple(part.shape) for part in jet[:3]] == wanted
            assert jet.order == order
            assert (jet.laplacian is None) == (order < 2)
            assert order < 2 or jet.laplacian.shape == (7, channels)

    def test_parameters_get_the_gradient_of_the_laplacian(self, dims, channels):
        """sum lap f = 2 N sum_ck V_ck |U_k|^2 has derivatives 4 N sum_c V_ck U_k and 2 N |U_k|^2, by either route."""
        u, v = torch.randn(5, dims, requires_grad=True), torch.randn(channels, 5, requires_grad=True)
        x, n = torch.randn(7, dims), 7
        to_u = 4 * n * v.detach().sum(0)[:, None] * u.detach()
        to_v = 2 * n * u.detach().square().sum(1).expand(channels, 5)
        forward = linear(elementwise(linear(coordinates(x, 2), u), square), v)
        nested = autograd_jet(lambda x: (x @ u.T).square() @ v.T, x, order=2)
        for jet in (forward, nested):
            found_u, found_v = torch.autograd.grad(jet.laplacian.sum(), (u, v))
            assert distance(found_u, to_u) <= ROUNDING
            assert distance(found_v, to_v) <= ROUNDING


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("order", [0, 1, 2])
def test_concatenate_puts_channels_side_by_side(order):
    """The parts of a concatenation are the parts of its jets, in their order."""
    x = torch.randn(7, 2)
    one = elementwise(coordinates(x, order), square)
    two = elementwise(linear(coordinates(x, order), torch.randn(3, 2)), sine)
    for found, first, second in zip(concatenate([one, two]).parts, one.parts, two.parts, strict=True):
        assert torch.equal(found[:, :2], first)
        assert torch.equal(found[:, 2:], second)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("order", [0, 1, 2])
def test_joined_puts_points_one_after_the_other(order):
    """In the order in which they are given, with the operators they share."""
    a = torch.randn(3, 2) if order == 2 else None
    one, two = (elementwise(coordinates(torch.randn(n, 2), order, a), square) for n in (3, 4))
    both = joined([one, two])
    assert both.operators is a
    for found, first, second in zip(both.parts, one.parts, two.parts, strict=True):
        assert torch.equal(found[:3], first)
        assert torch.equal(found[3:], second)


@pytest.mark.parametrize("bias", [True, False])
def test_autocast_rounds_the_factors_and_not_the_result(bias):
    """All parts stay in single precision, and are those of rounded factors."""
    n = MIN_PRODUCT
    x, w, b = torch.rand(5, n), torch.randn(n, n), torch.randn(n) if bias else None
    with torch.autocast("cpu", torch.bfloat16):
        found = linear(coordinates(x, 2), w, b)
    assert {part.dtype for part in found.parts} == {torch.float32}
    expected = linear(coordinates(x.bfloat16().float(), 2), w.bfloat16().float(), b)
    for part, other in zip(found.parts, expected.parts, strict=True):
        assert torch.allclose(part, other, atol=0.1, rtol=0.01)


@pytest.mark.usefixtures("float64")
def test_oracle_of_functions_without_curvature():
    """A linear and a constant function have zero second derivatives, though autograd has no graph for them."""
    x = torch.randn(4, 2)
    flat = autograd_jet(lambda x: x @ torch.tensor([[1.0], [2.0]]), x, order=2)
    assert torch.equal(flat.gradient, torch.tensor([1.0, 2.0]).expand(4, 1, 2))
    assert torch.equal(flat.laplacian, torch.zeros(4, 1))
    constant = autograd_jet(lambda x: torch.full((len(x), 1), math.pi), x, order=2)
    assert torch.equal(constant.gradient, torch.zeros(4, 1, 2))
    assert torch.equal(constant.laplacian, torch.zeros(4, 1))


@pytest.mark.usefixtures("float64")
def test_oracle_works_inside_no_grad():
    """Evaluation runs under no_grad; derivatives in x are still there."""
    with torch.no_grad():
        jet = autograd_jet(lambda x: x**3, torch.tensor([[2.0]]), order=2)
    assert jet.gradient.item() == 12
    assert jet.laplacian.item() == 12


def test_single_precision_stays_single():
    """Without a word about dtype all is float32, and float64 coordinates give a float64 jet."""
    x = torch.rand(4, 2)
    for jet in (elementwise(coordinates(x, 2), square), autograd_jet(torch.sin, x, 2)):
        assert {part.dtype for part in jet.parts} == {torch.float32}
    assert {part.dtype for part in coordinates(x.double(), 2).parts} == {torch.float64}


def test_other_sums_are_no_laplacian():
    """Who asks a jet of other sums for the Laplacian is told, instead of getting the first of them."""
    with pytest.raises(ValueError, match="other sums of second derivatives"):
        _ = coordinates(torch.rand(4, 2), 2, torch.tensor([[1.0, -1.0]])).laplacian
