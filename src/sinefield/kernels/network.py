"""A network's value, or its gradient in reverse, as one operation, whose derivative by the weights is written out.

With ``z_i = W_i h_i + b_i``, ``h_{i+1} = s(z_i)``, ``c_i = s'(z_i)`` and ``f = W h + b`` reverse accumulation is

    G = W      u_i = G_{i+1} c_i      G_i = u_i W_i        down to G_0 = df/dh_0 .

For the derivatives p by f and P_0 by G_0 of a scalar, those by what went into each step are, up through the layers,

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
from torch import Tensor
from torch.autograd import Function

from sinefield.core.jet import Derivatives, affine
from sinefield.kernels.dispatch import product, recorded

# (z, order, first) to s(z) and its first derivatives; `first` says that the layer is the first one.
Pointwise = Callable[[Tensor, int, bool], Derivatives]


def value(pointwise: Pointwise, h: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """f, (N, C).

    Args:
        pointwise: the activation.
        h: (N, F), the first layer's inputs.
        parameters: W_0, b_0, .., W, b of the linear maps, the last of which no activation follows.
    """
    if torch.is_grad_enabled():
        return _Value.apply(pointwise, h, *parameters)
    return plain_value(pointwise, h, *parameters)[0]  # nothing is kept


def reverse_gradient(pointwise: Pointwise, h: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """f, (N, C), and G_0 = df/dh, (C, N, F); arguments as of `value`."""
    if torch.is_grad_enabled():
        found, gradient = _ReverseGradient.apply(pointwise, h, *parameters)
    else:
        found, gradient = plain_reverse_gradient(pointwise, h, *parameters)
    return found, gradient


class _Value(Function):
    """(h, W_0, b_0, .., W, b) to f."""

    @staticmethod
    def forward(ctx: Any, pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> Tensor:
        inputs, slopes = [h], []
        for i, (weight, bias) in enumerate(_maps(parameters)[:-1]):
            out, slope = pointwise(affine(inputs[-1], weight, bias), 1, i == 0)
            inputs.append(out)
            slopes.append(slope)
        ctx.pointwise = pointwise
        ctx.groups = len(inputs), len(slopes), len(parameters)
        ctx.save_for_backward(*inputs, *slopes, *parameters)
        return affine(inputs[-1], *parameters[-2:])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        inputs, slopes, parameters = _grouped(ctx)
        if torch.is_grad_enabled() or ctx.needs_input_grad[1]:
            return None, *recorded(partial(plain_value, ctx.pointwise), (inputs[0], *parameters), grads)
        return None, None, *_down(grads[0], inputs, slopes, [None] * len(slopes), _maps(parameters))


class _ReverseGradient(Function):
    """(h, W_0, b_0, .., W, b) to f and G_0."""

    @staticmethod
    def forward(ctx: Any, pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        maps, inputs, slopes, bends = _maps(parameters), [h], [], []
        for i, (weight, bias) in enumerate(maps[:-1]):
            out, slope, bend = pointwise(affine(inputs[-1], weight, bias), 2, i == 0)
            inputs.append(out)
            slopes.append(slope)
            bends.append(bend)
        gradients, products = [maps[-1][0].unsqueeze(-2)], []  # (C, 1, W), then (C, N, ..)
        for (weight, _), slope in zip(reversed(maps[:-1]), reversed(slopes), strict=True):
            products.append(gradients[-1] * slope.unsqueeze(-3))
            gradients.append(product(products[-1], weight))
        *gradients, last = gradients
        ctx.pointwise = pointwise
        groups = inputs, slopes, bends, gradients[::-1], products[::-1], parameters
        ctx.groups = [len(group) for group in groups]
        ctx.save_for_backward(*(tensor for group in groups for tensor in group))
        return affine(inputs[-1], *parameters[-2:]), last

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        inputs, slopes, bends, gradients, products, parameters = _grouped(ctx)
        if torch.is_grad_enabled() or ctx.needs_input_grad[1]:
            return None, *recorded(partial(plain_reverse_gradient, ctx.pointwise), (inputs[0], *parameters), grads)
        maps, extras, by_weights = _maps(parameters), [], []
        by_value, by = grads
        for i, (weight, _) in enumerate(maps[:-1]):
            by_weights.append(product(products[i].flatten(-3, -2).mT, by.flatten(-3, -2)))
            by = product(by, weight.mT)
            extras.append((by * gradients[i]).sum(-3).mul_(bends[i]))
            by = by.mul_(slopes[i].unsqueeze(-3))
        found = _down(by_value, inputs, slopes, extras, maps)
        for i, by_weight in enumerate(by_weights):
            found[2 * i] += by_weight
        found[-2] += by.sum(-2)  # by the last W, where the way back began
        return None, None, *found


def _down(
    by: Tensor,
    inputs: list[Tensor],
    slopes: list[Tensor],
    extras: Sequence[Tensor | None],
    maps: list[tuple[Tensor, Tensor]],
) -> list[Tensor]:
    """The derivatives by W_0, b_0, .., W, b, for that by f, (N, C), and those by z_i that are known already."""
    found = [by.sum(-2), product(by.mT, inputs[-1])]  # from the last to the first
    for i in reversed(range(len(slopes))):
        by = product(by, maps[i + 1][0]).mul_(slopes[i])
        extra = extras[i]
        by = by if extra is None else by.add_(extra)
        found += [by.sum(-2), product(by.mT, inputs[i])]
    return found[::-1]


def _grouped(ctx: Any) -> list[list[Tensor]]:
    """What was saved, as it was put together."""
    saved = iter(ctx.saved_tensors)
    return [[next(saved) for _ in range(count)] for count in ctx.groups]


def _maps(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(W, b) of every linear map."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def plain_value(pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> list[Tensor]:
    """f, layer by layer."""
    for i, (weight, bias) in enumerate(_maps(parameters)[:-1]):
        h = pointwise(affine(h, weight, bias), 0, i == 0)[0]
    return [affine(h, *parameters[-2:])]


def plain_reverse_gradient(pointwise: Pointwise, h: Tensor, *parameters: Tensor) -> list[Tensor]:
    """f and G_0, layer by layer."""
    maps, slopes = _maps(parameters), []
    for i, (weight, bias) in enumerate(maps[:-1]):
        h, slope = pointwise(affine(h, weight, bias), 1, i == 0)
        slopes.append(slope)
    gradient = maps[-1][0].unsqueeze(-2)
    for (weight, _), slope in zip(reversed(maps[:-1]), reversed(slopes), strict=True):
        gradient = product(gradient * slope.unsqueeze(-3), weight)
    return [affine(h, *maps[-1]), gradient]
