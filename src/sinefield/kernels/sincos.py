"""Sine and cosine of one angle together, compiled for the processor at hand.

After the angle is reduced to ``r = a - k pi/2`` with ``|r| <= pi/4``, both are short polynomials in r^2, and k says
which is which. Each is off by some 1e-7 in float32 and 2e-16 in float64, torch's own by half of that.

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


NUMBERS = {dtype: _numbers(dtype) for dtype in _TABLES}
compiled: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
# A sum in any order, which a vector at a time is.
_summed: Any = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
_inlined: Any = njit(inline="always", fastmath={"contract"})


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


@_summed
def _angles(a, bias, w, limit):  # type: ignore[no-untyped-def]
    """w (z + b) into `a`; how many of them are no smaller than the limit, or no numbers."""
    beyond = limit - limit
    for j in range(len(a)):
        angle = w * (a[j] + bias[j])
        a[j] = angle
        beyond += 0 if abs(angle) < limit else 1
    return beyond


@compiled
def sines(a, value, bias, w, table):  # type: ignore[no-untyped-def]
    """sin(w z) into `value`, and w cos(w z) into `a`, which holds z without its bias."""
    if _angles(a, bias, w, table[-1]) > 0:  # beyond what the reduction can do
        for j in range(len(a)):
            value[j], a[j] = math.sin(a[j]), w * math.cos(a[j])
        return
    for j in range(len(a)):
        sine, cosine = _sine_and_cosine(a[j], table)
        value[j], a[j] = sine, w * cosine
