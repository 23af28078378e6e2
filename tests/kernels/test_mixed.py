"""Passes in bfloat16: those in float32 of the same numbers, rounded once; and a field and its gradient within 1 %."""

import numpy as np
import pytest
import torch
from discover import distance

from sinefield.field import Siren
from sinefield.jet import Jet
from sinefield.kernels import rounded
from sinefield.kernels.blas import FOUND
from sinefield.kernels.cpu import Compiled
from sinefield.kernels.mixed import SHORT, Mixed

pytestmark = pytest.mark.skipif(not FOUND, reason="torch's libraries do not show their products here")

WIDTH, W = 32, 3.0
points = pytest.mark.parametrize("n", [24, 25, 1])  # in blocks of rows, row by row
stacks = pytest.mark.parametrize("stack", [(), (2,)], ids=["one", "stack"])


def short(*shape: int) -> torch.Tensor:
    return torch.randn(shape).to(SHORT)


def same(found, exact) -> None:
    """Equal to the exact numbers but for one rounding, which the last bits of a sum may turn."""
    for part, other in zip(found, exact, strict=True):
        assert part.shape == other.shape
        assert (part.float() - other).abs().max() <= 2**-8 * other.abs().max() if part.numel() else True
        assert (part.float() != other.to(part.dtype).float()).float().mean() < 0.02 if part.numel() else True


@points
@stacks
@pytest.mark.parametrize("parts", [(0, 0), (2, 0), (2, 1)], ids=["value", "gradient", "laplacian"])
@pytest.mark.parametrize("alike", [False, True], ids=["each", "alike"])
def test_a_layer_both_ways_is_that_of_float32(n, stack, parts, alike):
    """With weights of 1, whose products are exact."""
    torch.manual_seed(0)
    rows = 1 if alike else n
    h, weight, bias = short(*stack, n, WIDTH), torch.eye(WIDTH).expand(*stack, WIDTH, WIDTH), torch.randn(*stack, WIDTH)
    dh, lh = (short(*stack, count, rows, WIDTH) for count in parts)
    exact = Compiled().forward(h.float(), dh.float(), lh.float(), weight, bias, W)
    found = Mixed().forward(h, dh, lh, weight, bias, W)
    assert all(part.dtype == SHORT for part in found)
    same(found, exact)
    by = short(*stack, n, WIDTH), *(short(*stack, count, n, WIDTH) for count in parts)
    saved = found[:4]
    given, plain = (h, dh, lh, weight), [part.float() for part in (h, dh, lh, weight)]
    wanted = True, bool(parts[0]) and not alike, bool(parts[1]) and not alike
    exact = Compiled().backward(plain, [part.float() for part in saved], [part.float() for part in by], W, wanted)
    found = Mixed().backward(given, saved, by, W, wanted)
    assert [part is None for part in found] == [part is None for part in exact]
    *shortened, by_weight, by_bias = (part for part in found if part is not None)
    *others, other_weight, other_bias = (part for part in exact if part is not None)
    same(shortened, others)
    assert by_weight.dtype == by_bias.dtype == torch.float32
    assert distance(by_bias, other_bias) < 1e-5  # summed before it is rounded
    assert distance(by_weight, other_weight) < 0.01


@points
@stacks
@pytest.mark.parametrize("channels", [1, 3])
def test_the_sweep_both_ways_is_that_of_float32(n, stack, channels):
    torch.manual_seed(0)
    weight = torch.eye(WIDTH).expand(*stack, WIDTH, WIDTH)
    slope, bend, extra, by, h = (short(*stack, n, WIDTH) for _ in range(5))
    by_weight = torch.randn(*stack, WIDTH, WIDTH)
    wide = [part.float() for part in (by, slope, extra, h)]
    for more, before in ((None, None), (extra, by_weight)):
        found = Mixed().down(by, weight, slope, more, h, None if before is None else before.clone())
        other = None if more is None else wide[2]
        exact = Compiled().down(wide[0], weight, wide[1], other, wide[3], None if before is None else before.clone())
        same(found[:1], exact[:1])
        assert distance(found[1], exact[1]) < 1e-5
        assert distance(found[2], exact[2]) < 0.01
    for rows in (1, n):
        g, upward = short(*stack, channels, rows, WIDTH), short(*stack, channels, n, WIDTH)
        found, exact = Mixed().sweep(g, slope, weight), Compiled().sweep(g.float(), slope.float(), weight)
        same(found, [part.to(SHORT).float() for part in exact])  # u W is of the rounded u
        u = found[0]
        found = Mixed().up(upward, u, g, slope, bend, weight)
        exact = Compiled().up(*(part.float() for part in (upward, u, g, slope, bend)), weight)
        same(found[:2], exact[:2])
        assert distance(found[2], exact[2]) < 0.01


def test_rounding_is_torchs():
    """To nearest, ties to even; what is no number stays none."""
    wide = torch.randn(64, WIDTH) * 10.0 ** torch.randint(-30, 30, (64, WIDTH))
    wide[0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    ties = torch.tensor([0x3F808000, 0x3F818000, 0x3F828000], dtype=torch.int32).view(torch.float32)
    numbers = torch.cat([wide, ties.repeat(WIDTH)[: 2 * WIDTH].reshape(2, WIDTH)])[None]
    shortened = np.empty(numbers.shape, np.uint16)
    rounded.narrow(numbers.numpy(), 0, shortened)
    found = torch.from_numpy(shortened).view(SHORT)
    torch.testing.assert_close(found, numbers.to(SHORT), rtol=0, atol=0, equal_nan=True)
    back = np.empty_like(numbers.numpy())
    rounded.widen(shortened, 0, back)
    torch.testing.assert_close(torch.from_numpy(back), found.float(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_field_and_its_gradient_are_those_of_float32(order, channels):
    """By every part of the jet and every parameter within 1.5 %; coordinates rounded too would be off by 5 %."""
    torch.manual_seed(0)
    field, x = Siren(2, channels, width=64, depth=2), 2 * torch.rand(200, 2) - 1

    def found(precise: bool) -> tuple[Jet, list[torch.Tensor]]:
        with torch.autocast("cpu", SHORT, enabled=not precise):
            jet = field.jet(x, order)
        scales = 1, 10, 1000  # of the parts of a jet at w0 = 30
        parts = [(part.float() / scale).square().mean() for part, scale in zip(jet[: order + 1], scales, strict=False)]
        return jet, list(torch.autograd.grad(sum(parts), list(field.parameters())))

    (jet, gradients), (exact, expected) = found(precise=False), found(precise=True)
    for part, other in zip([*jet, *gradients], [*exact, *expected], strict=True):
        assert part is None or distance(part.float(), other) < 0.015
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
