"""A layer of sines with its jet as one operation, whose derivative is written out instead of recorded.

With ``z = W h + b``, ``Z_d = W dh/dx_d``, ``Y = W lap h`` and ``c = w cos(w z)`` the layer's jet is

    s = sin(w z)        ds/dx_d = c Z_d        lap s = c Y - w^2 s q        q = sum_d Z_d^2 .

For the derivatives g, G_d, l of a scalar by these three, those by z, Z_d and Y are

    c (g - w^2 l q) - w^2 s (sum_d G_d Z_d + l Y)        c G_d - 2 w^2 l s Z_d        c l ,

the chain rule by hand. Recorded operation by operation it takes twice the passes over memory, and every sine and cosine
anew. Where a derivative of these derivatives is wanted, autograd records the plain rules of jets instead. All
shapes may have K in front, for K networks at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from sinefield.jet import Derivatives, Jet, affine, elementwise, linear
from sinefield.kernels import tensors


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
        with _as_they_are(h):
            z, none = _product(h, weight.mT, ctx.dtype), _none(weight)
            slopes = none if dh is None else _product(_once(dh), weight.mT, ctx.dtype)
            curve = none if lh is None else _product(_once(lh), weight.mT, ctx.dtype).unsqueeze(-3)
            value, cosine, gradient, laplacian = _passes(h).forward(z, bias.detach(), slopes, curve, w)
        ctx.save_for_backward(h, dh, lh, weight, bias, value, cosine, slopes, curve)
        return value, None if dh is None else gradient, None if lh is None else laplacian.squeeze(-3)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        h, dh, lh, weight, bias, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_recorded(partial(_plain, ctx.w), (h, dh, lh, weight, bias), grads)
        by_value, by_gradient, by_laplacian = grads
        none = by_value.unsqueeze(-3)[..., :0, :, :]
        by_gradient = none if dh is None else by_gradient
        by_laplacian = none if lh is None else by_laplacian.unsqueeze(-3)
        with _as_they_are(h):
            by_z, by_slopes, by_curve, by_bias = _passes(h).backward(*saved, by_value, by_gradient, by_laplacian, ctx.w)
            by_weight, by_inputs = _product(by_z.mT, h, ctx.dtype), []
            by_products = (by_z, by_slopes, None if lh is None else by_curve.squeeze(-3))
            for needed, by_product in zip(ctx.needs_input_grad[1:], by_products, strict=False):
                by_inputs.append(_product(by_product, weight, ctx.dtype) if needed else None)
            if dh is not None:
                rows = _once(dh).flatten(-3, -2)
                by_weight += _product(by_slopes.flatten(-3, -2).mT, rows, ctx.dtype)
            if lh is not None:
                by_weight += _product(by_curve.squeeze(-3).mT, _once(lh), ctx.dtype)
        return None, *by_inputs, by_weight, by_bias


class _Slope(Function):
    """h to (sin(w z), w cos(w z)), the second of which is the layer's jet along ``dz = 1``."""

    @staticmethod
    def forward(ctx: Any, w: float, h: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        ctx.w, ctx.dtype = w, _autocast(h)
        with _as_they_are(h):
            z, none = _product(h, weight.mT, ctx.dtype), _none(weight)
            value, slope, *_ = _passes(h).forward(z, bias.detach(), none, none, w)
        ctx.save_for_backward(h, weight, bias, value, slope)
        return value, slope

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        h, weight, bias, value, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_recorded(partial(_plain_slope, ctx.w), (h, weight, bias), grads)
        (by_value, by_slope), none = grads, _none(weight)
        along, by_slope = none.new_ones(*none.shape[:-3], 1, *none.shape[-2:]), by_slope.unsqueeze(-3)
        with _as_they_are(h):
            given = (along, none, by_value, by_slope, by_slope[..., :0, :, :])
            by_z, *_, by_bias = _passes(h).backward(value, slope, *given, ctx.w)
            by_h = _product(by_z, weight, ctx.dtype) if ctx.needs_input_grad[1] else None
            return None, by_h, _product(by_z.mT, h, ctx.dtype), by_bias


def _passes(like: Tensor) -> ModuleType:
    """What does the elementwise part."""
    if like.device.type != "cpu":
        return tensors
    from sinefield.kernels import loops  # noqa: PLC0415  its compiler takes a while to load

    return loops if like.dtype in loops.PRECISIONS else tensors


def _none(weight: Tensor) -> Tensor:
    """(0, 1, W): the derivatives along no direction."""
    return weight.new_empty(*weight.shape[:-2], 0, 1, weight.shape[-2])


def _once(part: Tensor) -> Tensor:
    """(..., 1, C) of (..., N, C) that is alike at all points."""
    return part[..., :1, :] if part.stride(-2) == 0 else part


def _autocast(like: Tensor) -> torch.dtype | None:
    """The precision that autocast wants matrix products in; None where it is off."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _as_they_are(like: Tensor) -> AbstractContextManager[Any]:
    """Operations in the precision of their operands."""
    return nullcontext() if _autocast(like) is None else torch.autocast(like.device.type, enabled=False)


def _product(a: Tensor, b: Tensor, dtype: torch.dtype | None) -> Tensor:
    """a b, (n, k) or partials (D, n, k) times (k, m), with K in front of both for K networks.

    Multiplied in `dtype`; sums and what follows stay in the precision of a.
    """
    flat = a.flatten(-3, -2) if a.dim() > b.dim() else a
    found = flat @ b if dtype is None else (flat.to(dtype) @ b.to(dtype)).to(a.dtype)
    return found.unflatten(-2, a.shape[-3:-1]) if a.dim() > b.dim() else found


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
