"""Sines and their jets, element by element, by torch's operations: what the compiled loops do in fewer passes.

All shapes may have K in front, for K networks at once. z (N, W) are the pre-activations ``W h + b``, dz (D, N, W) their
derivatives ``W dh/dx_d`` and sz (M, N, W) their sums of second derivatives ``W S_m h``; a single row, (D, 1, W) or
(M, 1, W), stands for N that are alike. Where no derivatives are wanted, D or M is 0.
"""

from collections.abc import Sequence

from torch import Tensor

from sinefield.core.jet import sums


def sine_cosine(z: Tensor, w: float) -> tuple[Tensor, Tensor]:
    """sin(w z) and w cos(w z), shaped like z."""
    angle = w * z
    return angle.sin(), angle.cos_().mul_(w)


def jet(z: Tensor, dz: Tensor, sz: Tensor, operators: Tensor | None, w: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The jet of ``s = sin(w z)``, with ``c = w cos(w z)``.

    Returns:
        s and c, (N, W); ``c dz_d``, (D, N, W); ``c sz_m - w^2 s sum_d A_md dz_d^2``, (M, N, W).
    """
    sine, cosine = sine_cosine(z, w)
    second = cosine.unsqueeze(-3) * sz
    if sz.shape[-3]:
        second.addcmul_(sine.unsqueeze(-3), sums(dz * dz, operators), value=-w * w)
    return sine, cosine, cosine.unsqueeze(-3) * dz, second


def jet_backward(
    saved: Sequence[Tensor], by: Sequence[Tensor], operators: Tensor | None, w: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives by z, dz and sz of a scalar whose derivatives by s, by c dz and by the last are g, G and l:

        by z    c (g - w^2 sum_d L_d dz_d^2) - w^2 s (sum_d G_d dz_d + sum_m l_m sz_m)      L_d = sum_m A_md l_m
        by dz   c G_d - 2 w^2 s L_d dz_d
        by sz   c l_m

    Args:
        saved: s, c, dz and sz.
        by: g, G and l, shaped like what `jet` returns.
    """
    sine, cosine, dz, sz = saved
    by_sine, by_gradient, by_second = by
    rows = cosine.unsqueeze(-3)
    by_z, by_dz, against = cosine * by_sine, rows * by_gradient, (by_gradient * dz).sum(-3)
    if sz.shape[-3]:
        both = (by_second if operators is None else sums(by_second, operators.mT)) * dz
        by_dz.addcmul_(sine.unsqueeze(-3), both, value=-2 * w * w)
        by_z.addcmul_(cosine, (both * dz).sum(-3), value=-w * w)
        against += (by_second * sz).sum(-3)
    by_z.addcmul_(sine, against, value=-w * w)
    return by_z, by_dz.sum_to_size(dz.shape), (rows * by_second).sum_to_size(sz.shape)
