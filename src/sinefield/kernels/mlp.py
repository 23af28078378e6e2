"""A network's value, or its gradient by a sweep back, as one operation, whose derivative by the weights is written out.

With ``z_i = W_i h_i + b_i``, ``h_{i+1} = s(z_i)``, ``c_i = s'(z_i)`` and ``f = W h + b`` the sweep is

    G = W      u_i = G_{i+1} c_i      G_i = u_i W_i        down to G_0 = df/dh_0 .

For the derivatives p by f and P_0 by G_0 of a scalar, those by what went into each step are, up through the sweep,

    P_{i+1} = (P_i W_i^T) c_i        e_i = s''(z_i) sum_channels (P_i W_i^T) G_{i+1}        by W_i: u_i^T P_i

and then down through the value, from p W,

    by z_i: p_{i+1} c_i + e_i        p_i = (by z_i) W_i        by W_i: (by z_i)^T h_i        by b_i: sum (by z_i) .

Recorded layer by layer it is the same arithmetic, with a node of autograd's per layer and more passes over memory. What
else a derivative is wanted by or of, such as the points or the derivatives, autograd finds by the plain rules. All
shapes may have K in front, for K networks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from sinefield.jet import Derivatives, affine
from sinefield.kernels import base

# (h, W, b, order, first) to s(z) and its first derivatives, of z = W h + b; autograd records it where it is at work.
Pointwise = Callable[[Tensor, Tensor, Tensor, int, bool], Derivatives]


def value(pointwise: Pointwise, h: Tensor, maps: Sequence[nn.Linear]) -> Tensor:
    """f, (N, C).

    Args:
        pointwise: a layer.
        h: (N, F), the first layer's inputs.
        maps: the linear maps, the last of which nothing follows.
    """
    if torch.is_grad_enabled():
        return _Value.apply(pointwise, h, *_parameters(maps))
    return _plain_value(pointwise, h, *_parameters(maps))[0]  # nothing is kept


def swept(pointwise: Pointwise, h: Tensor, maps: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """f, (N, C), and G_0 = df/dh, (C, N, F); arguments as of `value`."""
    if torch.is_grad_enabled():
        found, sweep = _Swept.apply(pointwise, h, *_parameters(maps))
    else:
        found, sweep = _plain_swept(pointwise, h, *_parameters(maps))
    return found, sweep


class _Value(Function):
    """(h, W_0, b_0, .., W, b) to f."""

    @staticmethod
    def forward(ctx: Any, pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> Tensor:
        inputs, slopes = [h], []
        for i, (weight, bias) in enumerate(_maps(parameters)[:-1]):
            out, slope = pointwise(inputs[-1], weight, bias, 1, i == 0)
            inputs.append(out)
            slopes.append(slope)
        ctx.pointwise, ctx.passes = pointwise, base.passes(h)
        ctx.save_for_backward(*inputs, *slopes, *parameters)
        return affine(inputs[-1], *parameters[-2:])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        saved = list(ctx.saved_tensors)
        depth = len(saved) // 4  # 2 (depth + 1) parameters, depth + 1 inputs and depth slopes
        inputs, slopes, parameters = saved[: depth + 1], saved[depth + 1 : 2 * depth + 1], saved[2 * depth + 1 :]
        if torch.is_grad_enabled() or ctx.needs_input_grad[1]:
            return None, *base.recorded(partial(_plain_value, ctx.pointwise), (inputs[0], *parameters), grads)
        nothing = [None] * depth
        return None, None, *_down(ctx.passes, grads[0], inputs, slopes, nothing, nothing, _maps(parameters))


class _Swept(Function):
    """(h, W_0, b_0, .., W, b) to f and G_0."""

    @staticmethod
    def forward(ctx: Any, pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        maps, inputs, slopes, bends = _maps(parameters), [h], [], []
        for i, (weight, bias) in enumerate(maps[:-1]):
            out, slope, bend = pointwise(inputs[-1], weight, bias, 2, i == 0)
            inputs.append(out)
            slopes.append(slope)
            bends.append(bend)
        ctx.pointwise, ctx.passes = pointwise, base.passes(h)
        sweep, sweeps, products = maps[-1][0].unsqueeze(-2), [], []  # (C, 1, W), then (C, N, ..)
        for (weight, _), slope in zip(reversed(maps[:-1]), reversed(slopes), strict=True):
            sweeps.append(sweep)
            product, sweep = ctx.passes.sweep(sweep, slope, weight)
            products.append(product)
        ctx.save_for_backward(*inputs, *slopes, *bends, *sweeps[::-1], *products[::-1], *parameters)
        return affine(inputs[-1], *parameters[-2:]), sweep

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        saved = list(ctx.saved_tensors)
        depth = (len(saved) - 3) // 7  # 2 (depth + 1) parameters, depth + 1 inputs, and four of all the others
        inputs, rest, parameters = saved[: depth + 1], saved[depth + 1 : 5 * depth + 1], saved[5 * depth + 1 :]
        if torch.is_grad_enabled() or ctx.needs_input_grad[1]:
            return None, *base.recorded(partial(_plain_swept, ctx.pointwise), (inputs[0], *parameters), grads)
        slopes, bends, sweeps, products = (rest[i * depth : (i + 1) * depth] for i in range(4))
        maps, extras, by_weights = _maps(parameters), [], []
        by_value, by = grads
        for i, (weight, _) in enumerate(maps[:-1]):
            by, extra, by_weight = ctx.passes.up(by, products[i], sweeps[i], slopes[i], bends[i], weight)
            extras.append(extra)
            by_weights.append(by_weight)
        found = _down(ctx.passes, by_value, inputs, slopes, extras, by_weights, maps)
        found[-2] += by.sum(-2)  # by the last W, where the sweep began
        return None, None, *found


def _down(
    passes: base.Passes,
    by: Tensor,
    inputs: list[Tensor],
    slopes: list[Tensor],
    extras: Sequence[Tensor | None],
    by_weights: Sequence[Tensor | None],
    maps: list[tuple[Tensor, Tensor]],
) -> list[Tensor]:
    """The derivatives by W_0, b_0, .., W, b, for that by f, (N, C), and those by z_i and W_i that are known already."""
    found = [by.sum(-2), passes.product(by.mT, inputs[-1])]  # from the last to the first
    for i in reversed(range(len(slopes))):
        by, by_bias, by_weight = passes.down(by, maps[i + 1][0], slopes[i], extras[i], inputs[i], by_weights[i])
        found += [by_bias, by_weight]
    return found[::-1]


def _parameters(maps: Sequence[nn.Linear]) -> list[Tensor]:
    """W_0, b_0, .., W, b."""
    return [part for layer in maps for part in (layer.weight, layer.bias)]


def _maps(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(W, b) of every linear map."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def _plain_value(pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> list[Tensor]:
    """What `_Value` computes, layer by layer."""
    for i, (weight, bias) in enumerate(_maps(parameters)[:-1]):
        h = pointwise(h, weight, bias, 0, i == 0)[0]
    return [affine(h, *parameters[-2:])]


def _plain_swept(pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> list[Tensor]:
    """What `_Swept` computes, layer by layer."""
    maps, slopes = _maps(parameters), []
    for i, (weight, bias) in enumerate(maps[:-1]):
        h, slope = pointwise(h, weight, bias, 1, i == 0)
        slopes.append(slope)
    sweep = maps[-1][0].unsqueeze(-2)
    for (weight, _), slope in zip(reversed(maps[:-1]), reversed(slopes), strict=True):
        u = sweep * slope.unsqueeze(-3)
        sweep = (u.flatten(-3, -2) @ weight).unflatten(-2, u.shape[-3:-1])
    return [affine(h, *maps[-1]), sweep]
