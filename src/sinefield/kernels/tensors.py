"""Passes through a layer by torch's own operations: for accelerators and for short numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinefield.kernels.base import LayerGradients, Passes


class Tensors(Passes):
    """As `Passes` says.

    Args:
        autocast: the precision of matrix products; None for that of their operands.
    """

    def __init__(self, autocast: torch.dtype | None = None) -> None:
        self.autocast = autocast

    def sine_cosine(self, h: Tensor, weight: Tensor, bias: Tensor, w: float) -> tuple[Tensor, Tensor]:
        """As `Passes.sine_cosine`."""
        angle = self.product(h, weight.mT).add_(bias.unsqueeze(-2)).mul_(w)
        sine = angle.sin()
        return sine, angle.cos_().mul_(w)

    def forward(
        self, h: Tensor, dh: Tensor, lh: Tensor, weight: Tensor, bias: Tensor, w: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `Passes.forward`."""
        sine, cosine = self.sine_cosine(h, weight, bias, w)
        slopes, curve = (self.product(part, weight.mT) for part in (dh, lh))
        gradient, laplacian = cosine.unsqueeze(-3) * slopes, cosine.unsqueeze(-3) * curve
        for lap in laplacian.unbind(-3):
            for slope in slopes.unbind(-3):
                lap.addcmul_(sine, slope * slope, value=-w * w)
        return sine, cosine, slopes, curve, gradient, laplacian

    def backward(
        self, inputs: Sequence[Tensor], saved: Sequence[Tensor], by: Sequence[Tensor], w: float, wanted: Sequence[bool]
    ) -> LayerGradients:
        """As `Passes.backward`."""
        sine, cosine, slopes, curve = saved
        by_value, by_gradient, by_laplacian = by
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
        by_products = by_z, by_slopes.sum_to_size(slopes.shape), by_curve.sum_to_size(curve.shape)
        return *self.through(by_products, inputs, wanted), by_z.sum(-2)

    def down(
        self, by: Tensor, weight: Tensor, slope: Tensor, extra: Tensor | None, h: Tensor, by_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.down`."""
        by_z = self.product(by, weight).mul_(slope)
        by_z = by_z if extra is None else by_z.add_(extra)
        found = self.product(by_z.mT, h)
        return by_z, by_z.sum(-2), found if by_weight is None else found.add_(by_weight)

    def sweep(self, g: Tensor, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `Passes.sweep`."""
        u = g * slope.unsqueeze(-3)
        return u, self.product(u, weight)

    def up(
        self, by: Tensor, u: Tensor, g: Tensor, slope: Tensor, bend: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.up`."""
        by_weight = self.product(u.flatten(-3, -2).mT, by.flatten(-3, -2))
        by_u = self.product(by, weight.mT)
        along = (by_u * g).sum(-3).mul_(bend)
        return by_u.mul_(slope.unsqueeze(-3)), along, by_weight
