"""The elementwise part of a layer of sines by torch's own operations: for accelerators and for short numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def wave(z: Tensor, bias: Tensor, w: float) -> Tensor:
    """``sin(w (z + b))``; z becomes ``w cos(w (z + b))``, in place.

    Args:
        z: (N, W), without the bias. All shapes may have K in front.
        bias: (W,).
        w: in radians per unit of z.

    Returns:
        (N, W).
    """
    angle = z.add_(bias.unsqueeze(-2)).mul_(w)
    sine = angle.sin()
    angle.cos_().mul_(w)
    return sine


def forward(z: Tensor, bias: Tensor, slopes: Tensor, curve: Tensor, w: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``s = sin(w z)``, ``c = w cos(w z)``, ``c Z_d`` and ``c Y - w^2 s sum_d Z_d^2``; see `sinefield.kernels.sine`.

    Args:
        z: (N, W), without the bias; may be overwritten. All shapes may have K in front.
        bias: (W,), added to z.
        slopes: (D, N, W), Z; (D, 1, W) where it is the same at all points; D may be 0.
        curve: (1, N, W) or (1, 1, W), Y; (0, 1, W) where no Laplacian is wanted.
        w: in radians per unit of z.

    Returns:
        (N, W), (N, W), (D, N, W) and (1, N, W) or (0, N, W).
    """
    sine, cosine = wave(z, bias, w), z
    gradient, laplacian = cosine.unsqueeze(-3) * slopes, cosine.unsqueeze(-3) * curve
    for lap in laplacian.unbind(-3):
        for slope in slopes.unbind(-3):
            lap.addcmul_(sine, slope * slope, value=-w * w)
    return sine, cosine, gradient, laplacian


def backward(
    sine: Tensor,
    cosine: Tensor,
    slopes: Tensor,
    curve: Tensor,
    by_value: Tensor,
    by_gradient: Tensor,
    by_laplacian: Tensor,
    w: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The derivatives by z, Z, Y and the bias, for those by what `forward` returns, c apart.

    Args:
        sine, cosine, slopes, curve: s and c as they came out of `forward`, Z and Y as they went into it.
        by_value, by_gradient, by_laplacian: shaped like its results.
        w: in radians per unit of z.

    Returns:
        (N, W); like `slopes` and like `curve`, summed over the points where they are the same at all; (W,).
    """
    by_z, against = cosine * by_value, torch.zeros_like(sine)
    by_slopes, by_curve = cosine.unsqueeze(-3) * by_gradient, cosine.unsqueeze(-3) * by_laplacian
    laps = by_laplacian.unbind(-3)
    for slope, by_slope, part in zip(slopes.unbind(-3), by_slopes.unbind(-3), by_gradient.unbind(-3), strict=True):
        against.addcmul_(part, slope)
        for lap in laps:
            both = lap * slope
            by_z.addcmul_(both * slope, cosine, value=-w * w)
            by_slope.addcmul_(both, sine, value=-2 * w * w)
    for y, lap in zip(curve.unbind(-3), laps, strict=True):
        against.addcmul_(lap, y)
    by_z.addcmul_(sine, against, value=-w * w)
    return by_z, by_slopes.sum_to_size(slopes.shape), by_curve.sum_to_size(curve.shape), by_z.sum(-2)


def turn(by: Tensor, slope: Tensor, extra: Tensor | None) -> Tensor:
    """`by` becomes ``by slope + extra``, in place; its sum over the points.

    Args:
        by, slope, extra: (N, W); all shapes may have K in front.

    Returns:
        (W,).
    """
    by.mul_(slope)
    return (by if extra is None else by.add_(extra)).sum(-2)


def meet(by: Tensor, sweep: Tensor, slope: Tensor, bend: Tensor) -> Tensor:
    """``bend sum_c by_c sweep_c``; `by` becomes ``by slope``, in place.

    Args:
        by: (C, N, W); all shapes may have K in front.
        sweep: (C, N, W), or (C, 1, W) where it is the same at all points.
        slope, bend: (N, W).

    Returns:
        (N, W).
    """
    along = (by * sweep).sum(-3).mul_(bend)
    by.mul_(slope.unsqueeze(-3))
    return along
