"""A layer of sines with its jet as one operation, whose derivative is written out instead of recorded.

With ``z = W h + b``, ``Z_d = W dh/dx_d``, ``Y_m = W S_m h`` and ``c = w cos(w z)`` the layer's jet is

    s = sin(w z)        ds/dx_d = c Z_d        S_m s = c Y_m - w^2 s sum_d A_md Z_d^2

and its derivatives are those of `sinefield.kernels.operations`, by the chain rule; recorded operation by operation it
takes twice the passes over memory. Where a derivative of these derivatives is wanted, autograd records the plain rules
of jets instead. All shapes may have K in front, for K networks at once.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from sinefield.core.jet import Derivatives, Jet, affine, elementwise, linear
from sinefield.kernels.dispatch import backend, eager, product, recorded


def sines(z: Tensor, order: int, w: float) -> Derivatives:
    """(sin(w z), w cos(w z), -w^2 sin(w z))[:order + 1], each shaped like z."""
    if eager(z) and not (torch.is_grad_enabled() and z.requires_grad):
        value, slope = backend(z).sine_cosine(z, w)
    else:
        angle = w * z
        value = angle.sin()
        slope = w * angle.cos() if order else value
    return (value, slope, -(w * w) * value)[: order + 1] if order > 1 else (value, slope)[: order + 1]


def layer(jet: Jet, weight: Tensor, bias: Tensor, w: float) -> Jet:
    """The jet of ``sin(w (W h + b))`` for that of h, W (C_out, C_in), b (C_out,) and w in radians per unit."""
    if not eager(*jet, weight, bias):
        return elementwise(linear(jet, weight, bias), partial(sines, w=w))
    rows = [None if part is None else part.movedim(-1, -3) for part in (jet.gradient, jet.second)]  # as in memory
    value, *derivatives = _Layer.apply(w, jet.operators, jet.value, *rows, weight, bias)
    return jet.of([value, *(part.movedim(-3, -1) for part in derivatives if part is not None)])


class _Layer(Function):
    """(h, dh, S h) to (s, ds, S s), dh (D, N, C_in), S h (M, N, C_in); what is alike at all points stays one row."""

    @staticmethod
    def forward(
        ctx: Any,
        w: float,
        operators: Tensor | None,
        h: Tensor,
        dh: Tensor | None,
        sh: Tensor | None,
        weight: Tensor,
        bias: Tensor,
    ) -> tuple[Tensor | None, ...]:
        dz, sz = (product(_rows(h, part), weight.mT) for part in (dh, sh))
        z = affine(h, weight, bias)
        sine, cosine, gradient, second = backend(h).jet(z, dz, sz, operators, w)
        ctx.w, ctx.operators = w, operators
        ctx.save_for_backward(h, dh, sh, weight, bias, sine, cosine, dz, sz)
        return sine, None if dh is None else gradient, None if sh is None else second

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        h, dh, sh, weight, bias, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *recorded(partial(_plain, ctx.w, ctx.operators), (h, dh, sh, weight, bias), grads)
        none = grads[0].unsqueeze(-3)[..., :0, :, :]
        by = [none if grad is None else grad for grad in grads]
        by_z, *rest = backend(h).jet_backward(saved, by, ctx.operators, ctx.w)
        by_weight = product(by_z.mT, h)
        for by_rows, part in zip(rest, (dh, sh), strict=True):
            by_weight += product(by_rows.flatten(-3, -2).mT, _rows(h, part).flatten(-3, -2))
        wanted = ctx.needs_input_grad[2:5]
        inputs = (product(part, weight) if want else None for part, want in zip((by_z, *rest), wanted, strict=True))
        return None, None, *inputs, by_weight, by_z.sum(-2)


def _rows(h: Tensor, part: Tensor | None) -> Tensor:
    """(D, N, C); a single row where all are alike and no derivative by each is wanted; D = 0 for None."""
    if part is None:
        return h.new_empty(*h.shape[:-2], 0, 1, h.shape[-1])
    return part[..., :1, :] if part.stride(-2) == 0 and not part.requires_grad else part


def _plain(
    w: float, operators: Tensor | None, h: Tensor, dh: Tensor | None, sh: Tensor | None, *linear_map: Tensor
) -> list[Tensor]:
    """What `_Layer` computes, by the rules of jets."""
    parts = [h, *(part.movedim(-3, -1) for part in (dh, sh) if part is not None)]
    jet = Jet(*parts)._replace(operators=operators)
    value, *rest = elementwise(linear(jet, *linear_map), partial(sines, w=w)).parts
    return [value, *(part.movedim(-1, -3) for part in rest)]
