"""Passes through a layer on the CPU, each compiled for the processor at hand: one call that needs no interpreter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from sinefield.kernels import loops
from sinefield.kernels.base import LayerGradients, Passes
from sinefield.kernels.blas import FOUND
from sinefield.kernels.sincos import NUMBERS

# None where the matrix products are not found, as on Windows, whose libraries show only what is their own: torch's
# operations do it all there.
PRECISIONS = tuple(NUMBERS) if FOUND else ()


class Compiled(Passes):
    """As `Passes` says, by `sinefield.kernels.loops`."""

    def sine_cosine(self, h: Tensor, weight: Tensor, bias: Tensor, w: float) -> tuple[Tensor, Tensor]:
        """As `Passes.sine_cosine`."""
        value, cosine = (h.new_empty(*h.shape[:-1], weight.shape[-2]) for _ in range(2))
        loops.sine_cosine(*as_arrays(h.dim() == 2, h, weight, bias, value, cosine), *NUMBERS[h.dtype](w))
        return value, cosine

    def forward(
        self, h: Tensor, dh: Tensor, lh: Tensor, weight: Tensor, bias: Tensor, w: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `Passes.forward`."""
        width, n = weight.shape[-2], h.shape[-2]
        value, cosine = (h.new_empty(*h.shape[:-1], width) for _ in range(2))
        products = [part.new_empty(*part.shape[:-1], width) for part in (dh, lh)]
        derivatives = [part.new_empty(*part.shape[:-2], n, width) for part in (dh, lh)]
        arrays = as_arrays(h.dim() == 2, h, dh, lh, weight, bias, value, cosine, *products, *derivatives)
        loops.forward(*arrays, *NUMBERS[h.dtype](w))
        return value, cosine, products[0], products[1], derivatives[0], derivatives[1]

    def backward(
        self, inputs: Sequence[Tensor], saved: Sequence[Tensor], by: Sequence[Tensor], w: float, wanted: Sequence[bool]
    ) -> LayerGradients:
        """As `Passes.backward`."""
        weight = inputs[-1]
        by_inputs = [
            part.new_empty(*part.shape[:-2], part.shape[-2] if its else 0, part.shape[-1])
            for part, its in zip(inputs, wanted, strict=False)
        ]
        by_weight, by_bias = weight.new_zeros(weight.shape), weight.new_zeros(weight.shape[:-1])
        found = (*by_inputs, by_weight, by_bias)
        loops.backward(*as_arrays(weight.dim() == 2, *inputs, *saved, *by, *found), NUMBERS[weight.dtype](w)[0])
        by_h, by_dh, by_lh = (part if its else None for part, its in zip(by_inputs, wanted, strict=True))
        return by_h, by_dh, by_lh, by_weight, by_bias

    def down(
        self, by: Tensor, weight: Tensor, slope: Tensor, extra: Tensor | None, h: Tensor, by_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.down`."""
        by_z, by_bias = slope.new_empty(slope.shape), slope.new_zeros(*slope.shape[:-2], slope.shape[-1])
        total = slope.new_empty(*by_bias.shape, h.shape[-1]) if by_weight is None else by_weight.contiguous()
        given = by, weight, slope, slope if extra is None else extra, h
        loops.down(*as_arrays(by.dim() == 2, *given, by_z, by_bias, total), extra is not None, by_weight is not None)
        return by_z, by_bias, total

    def sweep(self, g: Tensor, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `Passes.sweep`."""
        shape = (*g.shape[:-2], slope.shape[-2])
        u, found = (slope.new_empty(*shape, width) for width in weight.shape[-2:])
        loops.sweep(*as_arrays(slope.dim() == 2, g, slope, weight, u, found))
        return u, found

    def up(
        self, by: Tensor, u: Tensor, g: Tensor, slope: Tensor, bend: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.up`."""
        by_g, along, by_weight = (part.new_empty(part.shape) for part in (u, slope, weight))
        loops.up(*as_arrays(slope.dim() == 2, by, u, g, slope, bend, weight, by_g, along, by_weight))
        return by_g, along, by_weight


def as_arrays(single: bool, *parts: Tensor) -> list[np.ndarray]:
    """The same memory, row by row, with K = 1 in front where it is of a single network."""
    arrays = [part.detach().contiguous().numpy() for part in parts]
    return [array[None] for array in arrays] if single else arrays
