"""Passes through a layer on the CPU under bfloat16: torch's products, and compiled passes over what they leave.

Between the passes all numbers have 16 bits, half the memory; within them a few rows at a time have 32, in which
`sinefield.kernels.loops` computes. Weights, biases and their derivatives keep 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.kernels import loops
from sinefield.kernels.base import FEW, LayerGradients, as_they_are
from sinefield.kernels.cpu import Compiled, as_arrays
from sinefield.kernels.sincos import NUMBERS, compiled

MADE_OF = {"blas.py": 0x0167E114, "loops.py": 0x03784238, "sincos.py": 0x5A004EB4}  # as in loops.py
SHORT = torch.bfloat16
_ROWS = 8  # that are worked on at once: those of all operands of a pass, 256 numbers each, stay in the first cache


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
        _forward(*arrays, *NUMBERS[torch.float32](w))
        return value, cosine, gradient, laplacian

    def backward(
        self, inputs: Sequence[Tensor], saved: Sequence[Tensor], by: Sequence[Tensor], w: float, wanted: Sequence[bool]
    ) -> LayerGradients:
        """As `Passes.backward`."""
        weight, (sine, _, slopes, curve) = inputs[-1], saved
        by_products = [torch.empty_like(part) for part in (sine, slopes, curve)]
        by_bias = weight.new_zeros(weight.shape[:-1])
        _backward(*_arrays(weight.dim() == 2, *saved, *by, *by_products, by_bias), NUMBERS[torch.float32](w)[0])
        return *self.through(by_products, inputs, wanted), by_bias

    def down(
        self, by: Tensor, weight: Tensor, slope: Tensor, extra: Tensor | None, h: Tensor, by_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.down`."""
        by_z, by_bias = self.product(by, weight).to(SHORT), weight.new_zeros(*slope.shape[:-2], slope.shape[-1])
        slope = slope.to(SHORT)
        extra = slope if extra is None else extra.to(SHORT)
        _down(*_arrays(by.dim() == 2, by_z, slope, extra, by_bias), extra is not slope)
        found = self.product(by_z.mT, h).float()
        return by_z, by_bias, found if by_weight is None else found.add_(by_weight)

    def sweep(self, g: Tensor, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `Passes.sweep`."""
        u = g.new_empty(*g.shape[:-2], *slope.shape[-2:], dtype=SHORT)
        _sweep(*_arrays(slope.dim() == 2, g.to(SHORT), slope.to(SHORT), u))
        return u, self.product(u, weight)

    def up(
        self, by: Tensor, u: Tensor, g: Tensor, slope: Tensor, bend: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Passes.up`."""
        by_weight = self.product(u.flatten(-3, -2).mT, by.flatten(-3, -2)).float()
        by_g, along = self.product(by, weight.mT).to(SHORT), torch.empty_like(slope, dtype=SHORT)
        given = (part.to(SHORT) for part in (by_g, g, slope, bend))
        _up(*_arrays(slope.dim() == 2, *given, along))
        return by_g, along, by_weight


def _arrays(single: bool, *parts: Tensor) -> list[np.ndarray]:
    """The same memory as in kernels/cpu.py; numbers of 16 bits as their bits."""
    return as_arrays(single, *(part.contiguous().view(torch.uint16) if part.dtype == SHORT else part for part in parts))


@compiled
def _widen(part, start, wide):  # type: ignore[no-untyped-def]
    """(D, n, W) from row `start` on, as much as there is room for, (D, rows, W); or the one row that there is."""
    start, bits = min(start, part.shape[1] - wide.shape[1]), wide.view(np.uint32)
    for d in range(len(bits)):
        for i in range(bits.shape[1]):
            row, out, numbers = part[d, start + i], bits[d, i], wide[d, i]
            if part.itemsize == 2:
                for j in range(len(out)):
                    out[j] = np.uint32(row[j]) << np.uint32(16)
            else:
                for j in range(len(out)):
                    numbers[j] = row[j]


@compiled
def _narrow(wide, start, short):  # type: ignore[no-untyped-def]
    """The way back, rounded to nearest, ties to even."""
    start, bits = min(start, short.shape[1] - wide.shape[1]), wide.view(np.uint32)
    for d in range(len(bits)):
        for i in range(bits.shape[1]):
            row, out = bits[d, i], short[d, start + i]
            for j in range(len(row)):
                odd = (row[j] >> np.uint32(16)) & np.uint32(1)
                out[j] = np.uint16((row[j] + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@compiled
def _room(like, rows):  # type: ignore[no-untyped-def]
    """For so many rows of (K, D, n, W), or the one that there is, of one network, in 32 bits."""
    return np.zeros((like.shape[1], min(rows, like.shape[2]), like.shape[3]), np.float32)


@compiled
def _together(n):  # type: ignore[no-untyped-def]
    """How many rows are worked on at once: as many every time."""
    rows = _ROWS
    while n % rows:
        rows //= 2
    return rows


@compiled
def _forward(bias, z, value, cosine, slopes, curve, gradient, laplacian, w, table):  # type: ignore[no-untyped-def]
    networks, n, width = value.shape
    shape, rows = (networks, 1, n, width), _together(n)
    zs, values, cosines = z.reshape(shape), value.reshape(shape), cosine.reshape(shape)
    s, c, z_d, y = _room(values, rows), _room(cosines, rows), _room(slopes, rows), _room(curve, rows)
    ds, ls = _room(gradient, rows), _room(laplacian, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            _widen(zs[m], i, c)
            _widen(slopes[m], i, z_d)
            _widen(curve[m], i, y)
            loops.forward_elements(bias[m], s[0], c[0], z_d, y, ds, ls, w, table)
            _narrow(s, i, values[m])
            _narrow(c, i, cosines[m])
            _narrow(ds, i, gradient[m])
            _narrow(ls, i, laplacian[m])


@compiled
def _backward(  # type: ignore[no-untyped-def]
    sine, cosine, slopes, curve, by_value, by_gradient, by_laplacian, by_z, by_slopes, by_curve, by_bias, w
):
    networks, n, width = sine.shape
    shape, rows = (networks, 1, n, width), _together(n)
    sines, cosines, by_values, by_zs = (
        sine.reshape(shape), cosine.reshape(shape), by_value.reshape(shape), by_z.reshape(shape)
    )  # fmt: skip
    s, c, g, out = _room(sines, rows), _room(sines, rows), _room(sines, rows), _room(sines, rows)
    z, y, dg, lg = _room(slopes, rows), _room(curve, rows), _room(by_gradient, rows), _room(by_laplacian, rows)
    by_slope, by_y = np.zeros_like(z), np.zeros_like(y)
    for m in range(networks):
        for i in range(0, n, rows):
            _widen(sines[m], i, s)
            _widen(cosines[m], i, c)
            _widen(slopes[m], i, z)
            _widen(curve[m], i, y)
            _widen(by_values[m], i, g)
            _widen(by_gradient[m], i, dg)
            _widen(by_laplacian[m], i, lg)
            if i == 0 or slopes.shape[2] > 1:  # a row that is alike at all points gathers those of all
                by_slope[:] = 0
            if i == 0 or curve.shape[2] > 1:
                by_y[:] = 0
            loops.backward_elements(s[0], c[0], z, y, g[0], dg, lg, out[0], by_slope, by_y, by_bias[m], w)
            _narrow(out, i, by_zs[m])
            _narrow(by_slope, i, by_slopes[m])
            _narrow(by_y, i, by_curve[m])


@compiled
def _down(by_z, slope, extra, by_bias, has_extra):  # type: ignore[no-untyped-def]
    networks, n, width = by_z.shape
    shape, rows = (networks, 1, n, width), _together(n)
    by_zs, slopes, extras = by_z.reshape(shape), slope.reshape(shape), extra.reshape(shape)
    b, c, e = _room(by_zs, rows), _room(slopes, rows), _room(extras, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            _widen(by_zs[m], i, b)
            _widen(slopes[m], i, c)
            if has_extra:
                _widen(extras[m], i, e)
            loops.down_elements(b[0], c[0], e[0], by_bias[m], has_extra)
            _narrow(b, i, by_zs[m])


@compiled
def _sweep(g, slope, u):  # type: ignore[no-untyped-def]
    networks, _, n, width = u.shape
    slopes, rows = slope.reshape((networks, 1, n, width)), _together(n)
    row, c, out = _room(g, rows), _room(slopes, rows), _room(u, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            _widen(g[m], i, row)
            _widen(slopes[m], i, c)
            loops.sweep_elements(row, c[0], out)
            _narrow(out, i, u[m])


@compiled
def _up(by_g, g, slope, bend, along):  # type: ignore[no-untyped-def]
    networks, _, n, width = by_g.shape
    shape, rows = (networks, 1, n, width), _together(n)
    slopes, bends, alongs = slope.reshape(shape), bend.reshape(shape), along.reshape(shape)
    b, row, c, y, out = _room(by_g, rows), _room(g, rows), _room(slopes, rows), _room(bends, rows), _room(alongs, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            _widen(by_g[m], i, b)
            _widen(g[m], i, row)
            _widen(slopes[m], i, c)
            _widen(bends[m], i, y)
            loops.up_elements(b, row, c[0], y[0], out[0])
            _narrow(b, i, by_g[m])
            _narrow(out, i, alongs[m])
