"""A network's value, or its gradient in reverse, as one operation, whose derivative by the weights is written out.

With ``z_i = W_i h_i + b_i``, ``h_{i+1} = s(z_i)``, ``c_i = s'(z_i)`` and ``f = W h + b`` reverse accumulation is

    G = W      u_i = G_{i+1} c_i      G_i = u_i W_i        down to G_0 = df/dh_0 .

For the derivatives p by f and P_0 by G_0 of a scalar, those by what went into each step are, up through the layers,

    P_{i+1} = (P_i W_i^T) c_i        e_i = s''(z_i) sum_channels (P_i W_i^T) G_{i+1}        by W_i: u_i^T P_i

and then down through the value, from p W,

    by z_i: p_{i+1} c_i + e_i        p_i = (by z_i) W_i        by W_i: (by z_i)^T h_i        by b_i: sum (by z_i) .

Recorded layer by layer it is the same arithmetic, with more passes over memory: a tenth slower. Derivatives by the
points, and those of derivatives, autograd finds by the plain rules. All shapes may have K in front, for K networks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
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
    return _evaluate(pointwise, False, h, *parameters)[0]


def reverse_gradient(pointwise: Pointwise, h: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """f, (N, C), and G_0 = df/dh, (C, N, F); arguments as of `value`."""
    found, gradient = _evaluate(pointwise, True, h, *parameters)
    return found, gradient


def _evaluate(pointwise: Pointwise, reverse: bool, h: Tensor, *parameters: Tensor) -> Sequence[Tensor]:
    if torch.is_grad_enabled():
        return _Network.apply(pointwise, reverse, h, *parameters)
    return plain(pointwise, reverse, h, *parameters)  # nothing is kept


class _Network(Function):
    """(h, W_0, b_0, .., W, b) to f, and to G_0 where `reverse`."""

    @staticmethod
    def forward(ctx: Any, pointwise: Pointwise, reverse: bool, h: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        maps, inputs, slopes, bends = _maps(parameters), [h], [], []
        for i, (weight, bias) in enumerate(maps[:-1]):
            out, slope, *bend = pointwise(affine(inputs[-1], weight, bias), 1 + reverse, i == 0)
            inputs.append(out)
            slopes.append(slope)
            bends += bend
        gradients, products = [maps[-1][0].unsqueeze(-2)] * reverse, []  # (C, 1, W), then (C, N, ..)
        for (weight, _), slope in reversed([*zip(maps, slopes, strict=False)] * reverse):
            products.append(gradients[-1] * slope.unsqueeze(-3))
            gradients.append(product(products[-1], weight))
        last = gradients[-1:]
        ctx.pointwise, ctx.reverse = pointwise, reverse
        groups = inputs, slopes, bends, gradients[-2::-1], products[::-1], parameters
        ctx.groups = [len(group) for group in groups]
        ctx.save_for_backward(*(tensor for group in groups for tensor in group))
        return affine(inputs[-1], *parameters[-2:]), *last

    @staticmethod
    def backward(ctx: Any, by_value: Tensor, by: Tensor | None = None) -> Any:
        saved = iter(ctx.saved_tensors)
        inputs, slopes, bends, gradients, products, parameters = ([*islice(saved, count)] for count in ctx.groups)
        if torch.is_grad_enabled() or ctx.needs_input_grad[2]:
            rule = partial(plain, ctx.pointwise, ctx.reverse)
            return None, None, *recorded(rule, (inputs[0], *parameters), (by_value, by))
        maps, extras, by_weights = _maps(parameters), [], []
        if by is not None:  # that by G_0, up through the layers
            for i, (weight, _) in enumerate(maps[:-1]):
                by_weights.append(product(products[i].flatten(-3, -2).mT, by.flatten(-3, -2)))
                by = product(by, weight.mT)
                extras.append((by * gradients[i]).sum(-3).mul_(bends[i]))
                by = by.mul_(slopes[i].unsqueeze(-3))
            by_weights.append(by.sum(-2))  # by the last W, where the way back began
        found = [by_value.sum(-2), product(by_value.mT, inputs[-1])]  # by b, W, from the last map to the first
        for i in reversed(range(len(slopes))):
            by_value = product(by_value, maps[i + 1][0]).mul_(slopes[i])
            if by is not None:
                by_value.add_(extras[i])
            found += [by_value.sum(-2), product(by_value.mT, inputs[i])]
        found.reverse()
        for i, by_weight in enumerate(by_weights):
            found[2 * i] += by_weight
        return None, None, None, *found


def plain(pointwise: Pointwise, reverse: bool, h: Tensor, *parameters: Tensor) -> list[Tensor]:
    """f, and G_0 where `reverse`, layer by layer."""
    maps, slopes = _maps(parameters), []
    for i, (weight, bias) in enumerate(maps[:-1]):
        h, *derivatives = pointwise(affine(h, weight, bias), int(reverse), i == 0)
        slopes += derivatives
    found = affine(h, *maps[-1])
    if not reverse:
        return [found]
    gradient = maps[-1][0].unsqueeze(-2)
    for (weight, _), slope in zip(reversed(maps[:-1]), reversed(slopes), strict=True):
        gradient = product(gradient * slope.unsqueeze(-3), weight)
    return [found, gradient]


def _maps(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(W, b) of every linear map."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))
