"""The elementwise part of a layer in one pass over memory each way, compiled for the processor at hand.

What `sinefield.kernels.tensors` does operation by operation, each of which reads and writes whole matrices, this does
row by row, while the row is in the first cache.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sinefield.kernels.sincos import NUMBERS, compiled, sines

PRECISIONS = tuple(NUMBERS)


def forward(z: Tensor, bias: Tensor, slopes: Tensor, curve: Tensor, w: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `tensors.forward`."""
    value = torch.empty_like(z)
    gradient, laplacian = (z.new_empty(*part.shape[:-2], *z.shape[-2:]) for part in (slopes, curve))
    w, table = NUMBERS[z.dtype](w)
    _forward(*_arrays(z.dim() == 2, z, bias, slopes, curve, value, gradient, laplacian), w, table)
    return value, z, gradient, laplacian


def wave(z: Tensor, bias: Tensor, w: float) -> Tensor:
    """As `tensors.wave`."""
    value = torch.empty_like(z)
    _wave(*_arrays(z.dim() == 2, z, bias, value), *NUMBERS[z.dtype](w))
    return value


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
    """As `tensors.backward`."""
    by_bias = sine.new_zeros(*sine.shape[:-2], sine.shape[-1])
    found = (torch.empty_like(sine), torch.zeros_like(slopes), torch.zeros_like(curve), by_bias)
    given = [part.contiguous() for part in (by_value, by_gradient, by_laplacian)]
    _backward(*_arrays(sine.dim() == 2, sine, cosine, slopes, curve, *given, *found), NUMBERS[sine.dtype](w)[0])
    return found


def turn(by: Tensor, slope: Tensor, extra: Tensor | None) -> Tensor:
    """As `tensors.turn`."""
    by_array, *given = _arrays(by.dim() == 2, by, slope, slope if extra is None else extra)
    total = np.zeros((len(by_array), by.shape[-1]), by_array.dtype)
    _turn(by_array, *given, extra is not None, total)
    return torch.from_numpy(total).view(*by.shape[:-2], by.shape[-1])


def meet(by: Tensor, sweep: Tensor, slope: Tensor, bend: Tensor) -> Tensor:
    """As `tensors.meet`."""
    along = torch.empty_like(slope)
    _meet(*_arrays(by.dim() == 3, by, sweep, slope, bend, along))
    return along


def _arrays(single: bool, *parts: Tensor) -> list[np.ndarray]:
    """The same memory, with K = 1 in front where it is of a single network."""
    arrays = [part.numpy(force=True) for part in parts]
    return [array[None] for array in arrays] if single else arrays


@compiled
def _wave(z, bias, value, w, table):  # type: ignore[no-untyped-def]
    networks, n, _ = z.shape
    for m in range(networks):
        for i in range(n):
            sines(z[m, i], value[m, i], bias[m], w, table)


@compiled
def _forward(z, bias, slopes, curve, value, gradient, laplacian, w, table):  # type: ignore[no-untyped-def]
    networks, n, width = z.shape
    for m in range(networks):
        for i in range(n):
            a, s = z[m, i], value[m, i]
            sines(a, s, bias[m], w, table)
            for k in range(curve.shape[1]):
                y, lap = curve[m, k, min(i, curve.shape[2] - 1)], laplacian[m, k, i]
                for j in range(width):
                    lap[j] = a[j] * y[j]
                for d in range(slopes.shape[1]):
                    slope = slopes[m, d, min(i, slopes.shape[2] - 1)]
                    for j in range(width):
                        lap[j] -= w * w * s[j] * slope[j] * slope[j]
            for d in range(slopes.shape[1]):
                slope, out = slopes[m, d, min(i, slopes.shape[2] - 1)], gradient[m, d, i]
                for j in range(width):
                    out[j] = a[j] * slope[j]


@compiled
def _backward(  # type: ignore[no-untyped-def]
    sine, cosine, slopes, curve, by_value, by_gradient, by_laplacian, by_z, by_slopes, by_curve, by_bias, w
):
    networks, n, width = sine.shape
    square = w * w
    for m in range(networks):
        total = by_bias[m]
        for i in range(n):
            s, c, g, out = sine[m, i], cosine[m, i], by_value[m, i], by_z[m, i]
            for j in range(width):
                out[j] = c[j] * g[j]
            for d in range(slopes.shape[1]):
                row = min(i, slopes.shape[2] - 1)
                slope, by_slope, part = slopes[m, d, row], by_slopes[m, d, row], by_gradient[m, d, i]
                for j in range(width):
                    out[j] -= square * s[j] * part[j] * slope[j]
                for j in range(width):
                    by_slope[j] += c[j] * part[j]
                for k in range(curve.shape[1]):
                    lap = by_laplacian[m, k, i]
                    for j in range(width):
                        both = square * lap[j] * slope[j]
                        out[j] -= c[j] * both * slope[j]
                        by_slope[j] -= s[j] * (both + both)
            for k in range(curve.shape[1]):
                row = min(i, curve.shape[2] - 1)
                y, by_y, lap = curve[m, k, row], by_curve[m, k, row], by_laplacian[m, k, i]
                for j in range(width):
                    out[j] -= square * s[j] * y[j] * lap[j]
                for j in range(width):
                    by_y[j] += c[j] * lap[j]
            for j in range(width):
                total[j] += out[j]


@compiled
def _turn(by, slope, extra, more, total):  # type: ignore[no-untyped-def]
    networks, n, width = by.shape
    for m in range(networks):
        sums = total[m]
        for i in range(n):
            b, c = by[m, i], slope[m, i]
            for j in range(width):
                b[j] *= c[j]
            if more:
                e = extra[m, i]
                for j in range(width):
                    b[j] += e[j]
            for j in range(width):
                sums[j] += b[j]


@compiled
def _meet(by, sweep, slope, bend, along):  # type: ignore[no-untyped-def]
    networks, channels, n, width = by.shape
    for m in range(networks):
        for i in range(n):
            c, y, out = slope[m, i], bend[m, i], along[m, i]
            for j in range(width):
                out[j] = 0
            for k in range(channels):
                b, g = by[m, k, i], sweep[m, k, min(i, sweep.shape[2] - 1)]
                for j in range(width):
                    out[j] += b[j] * g[j]
                    b[j] *= c[j]
            for j in range(width):
                out[j] *= y[j]
