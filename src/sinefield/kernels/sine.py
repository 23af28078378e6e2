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

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from sinefield.jet import Derivatives, Jet, affine, elementwise, linear
from sinefield.kernels import base


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


def pointwise(h: Tensor, weight: Tensor, bias: Tensor, order: int, w: float) -> Derivatives:
    """(sin(w z), w cos(w z), -w^2 sin(w z))[:order + 1] of ``z = W h + b``, (N, C_out) each, for h (N, C_in)."""
    if torch.is_grad_enabled():
        return sines(affine(h, weight, bias), order, w)
    value, slope = base.passes(h).sine_cosine(h, weight, bias, w)
    return (value, slope, -(w * w) * value)[: order + 1] if order > 1 else (value, slope)[: order + 1]


class _Layer(Function):
    """(h, dh, lap h) to (s, ds, lap s), with dh (D, N, C_in). What is alike at all points stays one row."""

    @staticmethod
    def forward(
        ctx: Any, w: float, h: Tensor, dh: Tensor | None, lh: Tensor | None, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.w, ctx.passes = w, base.passes(h)
        value, *saved, gradient, laplacian = ctx.passes.forward(h, _partials(h, dh), _laplacian(h, lh), weight, bias, w)
        ctx.save_for_backward(h, dh, lh, weight, bias, value, *saved)
        return value, None if dh is None else gradient, None if lh is None else laplacian.squeeze(-3)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        h, dh, lh, weight, bias, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *base.recorded(partial(_plain, ctx.w), (h, dh, lh, weight, bias), grads)
        by_value, by_gradient, by_laplacian = grads
        none = by_value.unsqueeze(-3)[..., :0, :, :]
        by = by_value, none if dh is None else by_gradient, none if lh is None else by_laplacian.unsqueeze(-3)
        inputs, wanted = (h, _partials(h, dh), _laplacian(h, lh), weight), ctx.needs_input_grad[1:4]
        by_h, by_dh, by_lh, by_weight, by_bias = ctx.passes.backward(inputs, saved, by, ctx.w, wanted)
        return None, by_h, by_dh, None if by_lh is None else by_lh.squeeze(-3), by_weight, by_bias


def _partials(h: Tensor, dh: Tensor | None) -> Tensor:
    """(D, N, C), a single row where they are alike at all points; D = 0 where there are none."""
    return h.new_empty(*h.shape[:-2], 0, 1, h.shape[-1]) if dh is None else _once(dh)


def _laplacian(h: Tensor, lh: Tensor | None) -> Tensor:
    """The same of (N, C)."""
    return _partials(h, None if lh is None else lh.unsqueeze(-3))


def _once(part: Tensor) -> Tensor:
    """(..., 1, C) of (..., N, C) that is alike at all points, where no derivative by each of them is wanted."""
    return part[..., :1, :] if part.stride(-2) == 0 and not part.requires_grad else part


def _plain(w: float, h: Tensor, dh: Tensor | None, lh: Tensor | None, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """What `_Layer` computes, by the rules of jets."""
    jet = linear(Jet(h, None if dh is None else dh.movedim(-3, -1), lh), weight, bias)
    value, gradient, laplacian = elementwise(jet, partial(sines, w=w))
    parts = (value, None if gradient is None else gradient.movedim(-1, -3), laplacian)
    return [part for part in parts if part is not None]
