"""Passes through a layer on the CPU under bfloat16: torch's products, and compiled passes over what they leave.

Between the passes all numbers have 16 bits, half the memory; within them (`sinefield.kernels.rounded`) a few rows at a
time have 32. Weights, biases and their derivatives keep 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.kernels import rounded
from sinefield.kernels.base import FEW, LayerGradients, as_they_are
from sinefield.kernels.cpu import Compiled, as_arrays
from sinefield.kernels.sincos import NUMBERS

SHORT = torch.bfloat16


class Mixed(Compiled):
    """As `Passes` says; all that is not a parameter's is in bfloat16."""

    autocast = SHORT

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """As `Passes.product`: in bfloat16, or with few numbers in float32."""
        if a.dim() > b.dim():
            return self.product(a.flatten(-3, -2), b).unflatten(-2, a.shape[-3:-1])
        with as_they_are(a):
            dtype = torch.float32 if min(b.shape[-2:]) < FEW else SHORT
            return a.to(dtype) @ b.to(dtype)

    def sine_cosine(self, h: Tensor, weight: Tensor, bias: Tensor, w: float) -> tuple[Tensor, Tensor]:
        """As `Passes.sine_cosine`."""
        none = h.new_empty(*h.shape[:-2], 0, h.shape[-2], weight.shape[-2], dtype=SHORT)
        return self._bent(h, weight, bias, w, none, none)[:2]

    def forward(
        self, h: Tensor, dh: Tensor, lh: Tensor, weight: Tensor, bias: Tensor, w: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `Passes.forward`."""
        slopes, curve = (self.product(part, weight.mT).to(SHORT) for part in (dh, lh))
        value, cosine, gradient, laplacian = self._bent(h, weight, bias, w, slopes, curve)
        return value, cosine, slopes, curve, gradient, laplacian

    def _bent(
        self, h: Tensor, weight: Tensor, bias: Tensor, w: float, slopes: Tensor, curve: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All but the products with dh and lh, which are Z and Y."""
        z = self.product(h, weight.mT)
        value, cosine = torch.empty_like(z, dtype=SHORT), torch.empty_like(z, dtype=SHORT)
        gradient, laplacian = (part.new_empty(*part.shape[:-2], *z.shape[-2:]) for part in (slopes, curve))
        arrays = _arrays(h.dim() == 2, bias, z, value, cosine, slopes, curve, gradient, laplacian)
        rounded.forward(*arrays, *NUMBERS[torch.float32](w))
        return value, cosine, gradient, laplacian

    def backward(
        self, inputs: Sequence[Tensor], saved: Sequence[Tensor], by: Sequence[Tensor], w: float, wanted: Sequence[bool]
    ) -> LayerGradients:
        """As `Passes.backward`."""
        weight, (sine, _, slopes, curve) = inputs[-1], saved
        by_products = [torch.empty_like(part) for part in (sine, slopes, curve)]
        by_bias = weight.new_zeros(weight.shape[:-1])
        rounded.backward(*_arrays(weight.dim() == 2, *saved, *by, *by_products, by_bias), NUMBERS[torch.float32](w)[0])
        return *self.through(by_products, inputs, wanted), by_bias

    def down(
        self, by: Tensor, weight: Tensor, slope: Tensor, extra: Tensor | None, h: Tensor, by_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.down`."""
        by_z, by_bias = self.product(by, weight).to(SHORT), weight.new_zeros(*slope.shape[:-2], slope.shape[-1])
        slope = slope.to(SHORT)
        extra = slope if extra is None else extra.to(SHORT)
        rounded.down(*_arrays(by.dim() == 2, by_z, slope, extra, by_bias), extra is not slope)
        found = self.product(by_z.mT, h).float()
        return by_z, by_bias, found if by_weight is None else found.add_(by_weight)

    def sweep(self, g: Tensor, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `Passes.sweep`."""
        u = g.new_empty(*g.shape[:-2], *slope.shape[-2:], dtype=SHORT)
        rounded.sweep(*_arrays(slope.dim() == 2, g.to(SHORT), slope.to(SHORT), u))
        return u, self.product(u, weight)

    def up(
        self, by: Tensor, u: Tensor, g: Tensor, slope: Tensor, bend: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.up`."""
        by_weight = self.product(u.flatten(-3, -2).mT, by.flatten(-3, -2)).float()
        by_g, along = self.product(by, weight.mT).to(SHORT), torch.empty_like(slope, dtype=SHORT)
        given = (part.to(SHORT) for part in (by_g, g, slope, bend))
        rounded.up(*_arrays(slope.dim() == 2, *given, along))
        return by_g, along, by_weight


def _arrays(single: bool, *parts: Tensor) -> list[np.ndarray]:
    """The same memory as in kernels/cpu.py; numbers of 16 bits as their bits."""
    return as_arrays(single, *(part.contiguous().view(torch.uint16) if part.dtype == SHORT else part for part in parts))
