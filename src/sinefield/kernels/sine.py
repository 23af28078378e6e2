"""A layer of sines with its jet as one operation, whose derivative is written out instead of recorded.

With ``a = w (W h + b)``, ``A_d = w W dh/dx_d`` and ``B = w W lap h`` the layer's jet is

    s = sin a        ds/dx_d = cos a A_d        lap s = cos a B - sin a q        q = sum_d A_d^2 .

For the derivatives g, G_d, l of a scalar by these three, those by a, A_d and B are

    cos a (g - l q) - sin a (sum_d G_d A_d + l B)        cos a G_d - 2 l sin a A_d        cos a l ,

the chain rule by hand. Recorded operation by operation it takes twice the passes over memory, and every sine and cosine
anew. Where a derivative of these derivatives is wanted, autograd records the plain rules of jets instead. All
shapes may have K in front, for K networks at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from sinefield.jet import Derivatives, Jet, affine, elementwise, linear


def sines(z: Tensor, order: int, w: float) -> Derivatives:
    """(sin(w z), w cos(w z), -w^2 sin(w z))[:order + 1], each shaped like z."""
    angle = w * z
    value = angle.sin()
    if order == 0:
        return (value,)
    slope = w * angle.cos()
    return (value, slope) if order == 1 else (value, slope, -(w * w) * value)


def layer(jet: Jet, weight: Tensor, bias: Tensor, w: float) -> Jet:
    """The jet of ``sin(w (W h + b))``.

    Args:
        jet: the jet of h, C_in channels.
        weight, bias: W (C_out, C_in) and b (C_out,).
        w: in radians per unit.
    """
    gradient = None if jet.gradient is None else jet.gradient.movedim(-1, -3)  # (D, N, C_in), as it lies in memory
    value, gradient, laplacian = _Layer.apply(w, jet.value, gradient, jet.laplacian, weight, bias)
    return Jet(value, None if gradient is None else gradient.movedim(-3, -1), laplacian)


def value_and_slope(h: Tensor, weight: Tensor, bias: Tensor, w: float) -> tuple[Tensor, Tensor]:
    """``sin(w z)`` and ``w cos(w z)`` of ``z = W h + b``, (N, C_out) each, for h (N, C_in)."""
    value, slope = _Slope.apply(w, h, weight, bias)
    return value, slope


class _Layer(Function):
    """(h, dh, lap h) to (s, ds, lap s), with dh (D, N, C_in). What is alike at all points stays one row."""

    @staticmethod
    def forward(
        ctx: Any, w: float, h: Tensor, dh: Tensor | None, lh: Tensor | None, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.w, ctx.dtype = w, _autocast(h)
        with torch.autocast(h.device.type, enabled=False):
            scaled = (w * weight).mT
            angle = _product(h, scaled, ctx.dtype).add_(w * bias.unsqueeze(-2))
            value = angle.sin()
            if dh is None:
                ctx.save_for_backward(h, dh, lh, weight, bias, angle)
                return value, None, None
            cosine, slopes = angle.cos_(), _product(_once(dh), scaled, ctx.dtype)
            gradient = cosine.unsqueeze(-3) * slopes
            if lh is None:
                ctx.save_for_backward(h, dh, lh, weight, bias, value, cosine, slopes)
                return value, gradient, None
            first, *others = slopes.unbind(-3)
            curve, squares = _product(_once(lh), scaled, ctx.dtype), first.square()
            for slope in others:
                squares.addcmul_(slope, slope)
            ctx.save_for_backward(h, dh, lh, weight, bias, value, cosine, slopes, curve, squares)
            return value, gradient, (cosine * curve).addcmul_(value, squares, value=-1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        h, dh, lh, weight, bias, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_recorded(partial(_plain, ctx.w), (h, dh, lh, weight, bias), grads)
        by_value, by_gradient, by_laplacian = grads
        # what went into the matrix product, with the derivative by what came out
        pairs = [(h, _angles(by_value, by_gradient, by_laplacian, *saved))]
        if dh is not None:
            sine, cosine, slopes = saved[:3]
            by_slopes = cosine.unsqueeze(-3) * by_gradient
            if lh is not None:
                by_slopes.addcmul_((by_laplacian * sine).unsqueeze(-3), slopes, value=-2)
            pairs.append((dh, by_slopes))
        if lh is not None:
            pairs.append((lh, cosine * by_laplacian))
        with torch.autocast(h.device.type, enabled=False):
            scaled, by_weight, by_inputs = ctx.w * weight, torch.zeros_like(weight), []
            for needed, (part, by_part) in zip(ctx.needs_input_grad[1:], pairs, strict=False):
                by_inputs.append(_product(by_part, scaled, ctx.dtype) if needed else None)
                rows = _once(part)
                by_rows = by_part if rows is part else by_part.sum(-2, keepdim=True)
                if part is dh:
                    rows, by_rows = rows.flatten(-3, -2), by_rows.flatten(-3, -2)
                by_weight += _product(by_rows.mT, rows, ctx.dtype)
        by_inputs += [None] * (3 - len(by_inputs))
        return None, *by_inputs, by_weight.mul_(ctx.w), pairs[0][1].sum(-2).mul_(ctx.w)


def _angles(by_value: Tensor, by_gradient: Tensor | None, by_laplacian: Tensor | None, *saved: Tensor) -> Tensor:
    """The derivative by a, as in the module's equations."""
    if by_gradient is None:
        return saved[0].cos().mul_(by_value)
    sine, cosine, slopes = saved[:3]
    (by_first, *by_others), (first, *others) = by_gradient.unbind(-3), slopes.unbind(-3)
    against = by_first * first
    for by_slope, slope in zip(by_others, others, strict=True):
        against.addcmul_(by_slope, slope)
    if by_laplacian is None:
        return (cosine * by_value).addcmul_(sine, against, value=-1)
    curve, squares = saved[3:]
    against.addcmul_(by_laplacian, curve)
    along = torch.addcmul(by_value, by_laplacian, squares, value=-1)
    return along.mul_(cosine).addcmul_(sine, against, value=-1)


class _Slope(Function):
    """h to (sin a, w cos a)."""

    @staticmethod
    def forward(ctx: Any, w: float, h: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        ctx.w, ctx.dtype = w, _autocast(h)
        with torch.autocast(h.device.type, enabled=False):
            angle = _product(h, (w * weight).mT, ctx.dtype).add_(w * bias.unsqueeze(-2))
            value, slope = angle.sin(), angle.cos_().mul_(w)
        ctx.save_for_backward(h, weight, bias, value, slope)
        return value, slope

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        h, weight, bias, value, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_recorded(partial(_plain_slope, ctx.w), (h, weight, bias), grads)
        by_value, by_slope = grads
        by_z = (slope * by_value).addcmul_(value, by_slope, value=-(ctx.w**2))
        with torch.autocast(h.device.type, enabled=False):
            by_h = _product(by_z, weight, ctx.dtype) if ctx.needs_input_grad[1] else None
            return None, by_h, _product(by_z.mT, h, ctx.dtype), by_z.sum(-2)


def _autocast(like: Tensor) -> torch.dtype | None:
    """The precision that autocast wants matrix products in; None where it is off."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _product(a: Tensor, b: Tensor, dtype: torch.dtype | None) -> Tensor:
    """a b, (n, k) or partials (D, n, k) times (k, m), with K in front of both for K networks.

    Multiplied in `dtype`; sums and what follows stay in the precision of a.
    """
    flat = a.flatten(-3, -2) if a.dim() > b.dim() else a
    found = flat @ b if dtype is None else (flat.to(dtype) @ b.to(dtype)).to(a.dtype)
    return found.unflatten(-2, a.shape[-3:-1]) if a.dim() > b.dim() else found


def _once(part: Tensor) -> Tensor:
    """(..., 1, C) of (..., N, C) that is alike at all points."""
    return part[..., :1, :] if part.stride(-2) == 0 else part


def _recorded(rule: Callable[..., list[Tensor]], inputs: tuple[Tensor | None, ...], grads: Any) -> list[Tensor | None]:
    """The derivatives by the inputs, None for those that need none, in a graph of their own."""
    wanted = [part for part in inputs if part is not None and part.requires_grad]
    given = [grad for grad in grads if grad is not None]
    found = iter(torch.autograd.grad(rule(*inputs), wanted, given, create_graph=True, allow_unused=True))
    return [next(found) if part is not None and part.requires_grad else None for part in inputs]


def _plain(w: float, h: Tensor, dh: Tensor | None, lh: Tensor | None, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """What `_Layer` computes, by the rules of jets."""
    jet = linear(Jet(h, None if dh is None else dh.movedim(-3, -1), lh), weight, bias)
    value, gradient, laplacian = elementwise(jet, partial(sines, w=w))
    parts = (value, None if gradient is None else gradient.movedim(-1, -3), laplacian)
    return [part for part in parts if part is not None]


def _plain_slope(w: float, h: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """What `_Slope` computes, by torch's own rules."""
    return list(sines(affine(h, weight, bias), 1, w))
