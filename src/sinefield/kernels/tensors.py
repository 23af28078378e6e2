"""Passes through a layer by torch's own operations: for accelerators and for short numbers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from sinefield.kernels.base import LayerGradients, Passes


class Tensors(Passes):
    """As `Passes` says; products are multiplied in the precision that autocast wants, None where it is off.

    Sums, and what follows a product, stay in the precision of its operands.
    """

    def __init__(self, autocast: torch.dtype | None = None) -> None:
        self.autocast = autocast

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """a b; of partials (D, n, k) too, times one (k, m) for all."""
        if a.dim() > b.dim():
            return self.product(a.flatten(-3, -2), b).unflatten(-2, a.shape[-3:-1])
        with self._as_they_are(a):
            return a @ b if self.autocast is None else (a.to(self.autocast) @ b.to(self.autocast)).to(a.dtype)

    def wave(self, h: Tensor, weight: Tensor, bias: Tensor, w: float) -> tuple[Tensor, Tensor]:
        """As `Passes.wave`."""
        angle = self.product(h, weight.mT).add_(bias.unsqueeze(-2)).mul_(w)
        sine = angle.sin()
        return sine, angle.cos_().mul_(w)

    def forward(
        self, h: Tensor, dh: Tensor, lh: Tensor, weight: Tensor, bias: Tensor, w: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `Passes.forward`."""
        sine, cosine = self.wave(h, weight, bias, w)
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
        (h, dh, lh, weight), (sine, cosine, slopes, curve) = inputs, saved
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
        by_weight = self.product(by_z.mT, h)
        for by_product, part in zip(by_products[1:], (dh, lh), strict=True):
            by_weight += self.product(by_product.flatten(-3, -2).mT, part.flatten(-3, -2))
        by_h, by_dh, by_lh = (
            self.product(part, weight) if its else None for part, its in zip(by_products, wanted, strict=True)
        )
        return by_h, by_dh, by_lh, by_weight, by_z.sum(-2)

    def down(
        self, by: Tensor, weight: Tensor, slope: Tensor, extra: Tensor | None, h: Tensor, own: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.down`."""
        by_z = self.product(by, weight).mul_(slope)
        by_z = by_z if extra is None else by_z.add_(extra)
        by_weight = self.product(by_z.mT, h)
        return by_z, by_z.sum(-2), by_weight if own is None else own.add_(by_weight)

    def sweep(self, sweep: Tensor, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `Passes.sweep`."""
        u = sweep * slope.unsqueeze(-3)
        return u, self.product(u, weight)

    def up(
        self, by: Tensor, u: Tensor, sweep: Tensor, slope: Tensor, bend: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.up`."""
        by_weight = self.product(u.flatten(-3, -2).mT, by.flatten(-3, -2))
        by_u = self.product(by, weight.mT)
        along = (by_u * sweep).sum(-3).mul_(bend)
        return by_u.mul_(slope.unsqueeze(-3)), along, by_weight

    def _as_they_are(self, like: Tensor) -> AbstractContextManager[Any]:
        """Operations in the precision of their operands, whatever autocast wants around them."""
        return nullcontext() if self.autocast is None else torch.autocast(like.device.type, enabled=False)
