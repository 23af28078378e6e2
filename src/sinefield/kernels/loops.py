"""The elementwise part of a layer of sines in one pass over memory each way, compiled for the processor at hand.

What `sinefield.kernels.tensors` does operation by operation, each of which reads and writes whole matrices, this does
row by row, while the row is in the first cache. Sine and cosine come together: after the angle is reduced to
``r = a - k pi/2`` with ``|r| <= pi/4``, both are short polynomials in r^2, and k says which is which. Each is off by
some 1e-7 in float32 and 2e-16 in float64, torch's own by half of that.

Source: reduction in three parts, Cody & Waite, Software Manual for the Elementary Functions (1980), ch. 8; the
polynomials are Cephes' `sinf.c` in float32 and fdlibm's `k_sin.c`, `k_cos.c` in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

# 2/pi; what rounds to whole numbers when added and taken away; pi/2 in three parts; sine and cosine by powers of r^2
# from the highest, behind r and 1 - r^2/2; 1/2; 1; how large an angle may be.
_TABLES = {
    torch.float32: (
        2 / math.pi,
        1.5 * 2**23,
        (1.5703125, 4.837512969970703125e-4, 7.549789948768648e-8),
        (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1),
        (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2),
        0.5,
        1.0,
        2.0**13,
    ),
    torch.float64: (
        2 / math.pi,
        1.5 * 2**52,
        (1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624879595063154e-21),
        (
            1.58969099521155010221e-10,
            -2.50507602534068634195e-08,
            2.75573137070700676789e-06,
            -1.98412698298579493134e-04,
            8.33333333332248946124e-03,
            -1.66666666666666324348e-01,
        ),
        (
            -1.13596475577881948265e-11,
            2.08757232129817482790e-09,
            -2.75573143513906633035e-07,
            2.48015872894767294178e-05,
            -1.38888888888741095749e-03,
            4.16666666666666019037e-02,
        ),
        0.5,
        1.0,
        2.0**20,
    ),
}


def _typed(table: Any, number: type[np.floating]) -> Any:
    return tuple(_typed(part, number) for part in table) if isinstance(table, tuple) else number(table)


def _numbers(dtype: torch.dtype) -> Callable[[float], Any]:
    """w and the table as numbers of one precision, so that the loops compute in it."""
    number = torch.empty(0, dtype=dtype).numpy().dtype.type
    table = _typed(_TABLES[dtype], number)
    return lambda w: (number(w), table)


_NUMBERS = {dtype: _numbers(dtype) for dtype in _TABLES}
PRECISIONS = tuple(_TABLES)
_compiled: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_inlined: Any = njit(inline="always", fastmath={"contract"})


def forward(z: Tensor, bias: Tensor, slopes: Tensor, curve: Tensor, w: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `tensors.forward`."""
    value = torch.empty_like(z)
    gradient, laplacian = (z.new_empty(*part.shape[:-2], *z.shape[-2:]) for part in (slopes, curve))
    w, table = _NUMBERS[z.dtype](w)
    _forward(*_arrays(z.dim() == 2, z, bias, slopes, curve, value, gradient, laplacian), w, table)
    return value, z, gradient, laplacian


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
    _backward(*_arrays(sine.dim() == 2, sine, cosine, slopes, curve, *given, *found), _NUMBERS[sine.dtype](w)[0])
    return found


def _arrays(single: bool, *parts: Tensor) -> list[np.ndarray]:
    """The same memory, with K = 1 in front where it is of a single network."""
    return [(part.unsqueeze(0) if single else part).numpy() for part in parts]


@_inlined
def _sine_and_cosine(a, table):  # type: ignore[no-untyped-def]  # numba compiles it for both precisions
    inverse, magic, parts, sines, cosines, half, one, _ = table
    k = (a * inverse + magic) - magic
    r = ((a - k * parts[0]) - k * parts[1]) - k * parts[2]
    square, sine, cosine = r * r, sines[0], cosines[0]
    for i in range(1, len(sines)):
        sine = sines[i] + square * sine
        cosine = cosines[i] + square * cosine
    sine = r + r * square * sine
    cosine = one - half * square + square * square * cosine
    quarter = np.int32(k)
    x, y = (cosine, sine) if quarter & 1 else (sine, cosine)
    return (-x if quarter & 2 else x), (-y if (quarter + 1) & 2 else y)


@_compiled
def _sines(a, value, bias, w, table):  # type: ignore[no-untyped-def]
    """sin(w z) into `value`, and w cos(w z) into `a`, which holds z without its bias."""
    far = False
    for j in range(len(a)):
        a[j] = w * (a[j] + bias[j])
        far |= not abs(a[j]) < table[-1]
    if far:  # beyond what the reduction can do
        for j in range(len(a)):
            value[j], a[j] = math.sin(a[j]), w * math.cos(a[j])
        return
    for j in range(len(a)):
        sine, cosine = _sine_and_cosine(a[j], table)
        value[j], a[j] = sine, w * cosine


@_compiled
def _forward(z, bias, slopes, curve, value, gradient, laplacian, w, table):  # type: ignore[no-untyped-def]
    networks, n, width = z.shape
    for m in range(networks):
        for i in range(n):
            a, s = z[m, i], value[m, i]
            _sines(a, s, bias[m], w, table)
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


@_compiled
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
