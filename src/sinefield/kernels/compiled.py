"""Sines and their jets on the CPU, compiled by numba: one pass over memory where torch's operations take several.

The functions are those of `sinefield.kernels.operations`, for float32 and float64. Sine and cosine of one angle are
computed together: the angle is reduced to ``r = a - k pi/2`` with ``|r| <= pi/4``, both are short polynomials in r^2,
and k says which is which. Each is off by some 1e-7 in float32 and 2e-16 in float64, torch's own by half of that.

Source: reduction in three parts, Cody & Waite, Software Manual for the Elementary Functions (1980), ch. 8; the
polynomials are Cephes' `sinf.c` in float32 and fdlibm's `k_sin.c`, `k_cos.c` in float64.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

# 2/pi; what rounds to whole numbers when added and taken away; pi/2 in three parts; sine and cosine by powers of r^2
# from the highest, behind r and 1 - r^2/2; 1/2; 1; how large an angle may be.
_TABLES: dict[torch.dtype, Any] = {
    torch.float32: (
        2 / math.pi, 1.5 * 2**23, (1.5703125, 4.837512969970703125e-4, 7.549789948768648e-8),
        (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1),
        (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2),
        0.5, 1.0, 2.0**13,
    ),
    torch.float64: (
        2 / math.pi, 1.5 * 2**52,
        (1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624879595063154e-21),
        (1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
         -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01),
        (-1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
         2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02),
        0.5, 1.0, 2.0**20,
    ),
}  # fmt: skip
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _compile(function: Any) -> Any:
    """By numba, which keeps the machine code beside this file or in the user's cache."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # it may not write there: compiled anew in every process
        return njit(**_OPTIONS)(function)


@njit(inline="always", fastmath={"contract"})
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


@njit(**_OPTIONS | {"fastmath": {"contract", "reassoc"}})  # a sum in any order, which a vector at a time is
def _count_beyond(z, w, limit):  # type: ignore[no-untyped-def]
    """How many of the angles w z are no smaller than the limit, or no numbers."""
    beyond = limit - limit
    for j in range(len(z)):
        beyond += 0 if abs(w * z[j]) < limit else 1
    return beyond


@njit(**_OPTIONS)
def _row(z, sine, cosine, w, table):  # type: ignore[no-untyped-def]
    if _count_beyond(z, w, table[-1]) > 0:  # beyond what the reduction can do
        for j in range(len(z)):
            sine[j], cosine[j] = math.sin(w * z[j]), w * math.cos(w * z[j])
        return
    for j in range(len(z)):
        s, c = _sine_and_cosine(w * z[j], table)
        sine[j], cosine[j] = s, w * c


@_compile
def _sine_cosine(z, sine, cosine, w, table):  # type: ignore[no-untyped-def]
    # (N, W) each
    for i in range(len(z)):
        _row(z[i], sine[i], cosine[i], w, table)


@_compile
def _jet(z, dz, sz, a, sine, cosine, gradient, second, w, table):  # type: ignore[no-untyped-def]
    # z is (K, N, W), dz (K, D, N or 1, W), sz (K, M, N or 1, W), a (M, D)
    for m in range(len(z)):
        for i in range(z.shape[1]):
            s, c = sine[m, i], cosine[m, i]
            _row(z[m, i], s, c, w, table)
            for d in range(dz.shape[1]):
                row, out = dz[m, d, min(i, dz.shape[2] - 1)], gradient[m, d, i]
                for j in range(len(c)):
                    out[j] = c[j] * row[j]
            for k in range(sz.shape[1]):
                row, out = sz[m, k, min(i, sz.shape[2] - 1)], second[m, k, i]
                for j in range(len(c)):
                    out[j] = c[j] * row[j]
                for d in range(dz.shape[1]):
                    row, factor = dz[m, d, min(i, dz.shape[2] - 1)], a[k, d] * w * w
                    for j in range(len(c)):
                        out[j] -= factor * s[j] * row[j] * row[j]


@_compile
def _jet_backward(sine, cosine, dz, sz, by_sine, by_gradient, by_second, a, by_z, by_dz, by_sz, w):  # type: ignore[no-untyped-def]
    # adds to `by_dz` and `by_sz`, whose single rows are sums over all points
    square, twice = w * w, w * w + w * w
    for m in range(len(sine)):
        for i in range(sine.shape[1]):
            s, c, g, out = sine[m, i], cosine[m, i], by_sine[m, i], by_z[m, i]
            for j in range(len(s)):
                out[j] = c[j] * g[j]
            for d in range(dz.shape[1]):
                row = min(i, dz.shape[2] - 1)
                z, by, part = dz[m, d, row], by_dz[m, d, row], by_gradient[m, d, i]
                for j in range(len(s)):
                    out[j] -= square * s[j] * part[j] * z[j]
                    by[j] += c[j] * part[j]
                for k in range(sz.shape[1]):
                    lap, factor = by_second[m, k, i], a[k, d]
                    for j in range(len(s)):
                        both = factor * lap[j] * z[j]
                        out[j] -= square * c[j] * both * z[j]
                        by[j] -= twice * s[j] * both
            for k in range(sz.shape[1]):
                row = min(i, sz.shape[2] - 1)
                y, by, lap = sz[m, k, row], by_sz[m, k, row], by_second[m, k, i]
                for j in range(len(s)):
                    out[j] -= square * s[j] * y[j] * lap[j]
                    by[j] += c[j] * lap[j]


def sine_cosine(z: Tensor, w: float) -> tuple[Tensor, Tensor]:
    """As `operations.sine_cosine`."""
    number, table = _table(z.dtype)
    found = torch.empty(z.shape, dtype=z.dtype), torch.empty(z.shape, dtype=z.dtype)
    _run(_sine_cosine, *(array.reshape(-1, z.shape[-1]) for array in _arrays((z, *found))), number(w), table)
    return found


def jet(z: Tensor, dz: Tensor, sz: Tensor, operators: Tensor | None, w: float) -> tuple[Tensor, ...]:
    """As `operations.jet`."""
    number, table = _table(z.dtype)
    shapes = z.shape, z.shape, (*dz.shape[:-2], *z.shape[-2:]), (*sz.shape[:-2], *z.shape[-2:])
    found = tuple(torch.empty(shape, dtype=z.dtype) for shape in shapes)
    arrays = _arrays((z, dz, sz, *found), stack=z.dim() == 2)
    _run(_jet, *arrays[:3], _weights(dz, sz, operators), *arrays[3:], number(w), table)
    return found


def jet_backward(
    saved: Sequence[Tensor], by: Sequence[Tensor], operators: Tensor | None, w: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As `operations.jet_backward`."""
    sine, _, dz, sz = saved
    found = torch.empty(sine.shape, dtype=sine.dtype), torch.zeros_like(dz), torch.zeros_like(sz)
    arrays = _arrays((*saved, *by, *found), stack=sine.dim() == 2)
    _run(_jet_backward, *arrays[:7], _weights(dz, sz, operators), *arrays[7:], _table(sine.dtype)[0](w))
    return found


def _arrays(parts: Sequence[Tensor], stack: bool = False) -> list[np.ndarray]:
    """The same memory, row by row; with an axis of length 1 in front to make a stack of what belongs to one network."""
    arrays = [part.detach().contiguous().numpy() for part in parts]
    return [array[None] for array in arrays] if stack else arrays


def _weights(dz: Tensor, sz: Tensor, operators: Tensor | None) -> np.ndarray:
    """A, (M, D)."""
    given = torch.ones(sz.shape[-3], dz.shape[-3]) if operators is None else operators
    return np.ascontiguousarray(given.to(dz.dtype).numpy())


@cache
def _table(dtype: torch.dtype) -> tuple[Any, Any]:
    """A NumPy type and the polynomials as numbers of it, so that the loops compute in it."""
    number = np.float32 if dtype == torch.float32 else np.float64
    typed = (tuple(map(number, part)) if isinstance(part, tuple) else number(part) for part in _TABLES[dtype])
    return number, tuple(typed)


def _run(loop: Callable[..., None], *arguments: Any) -> None:
    """Call a compiled loop, whose first call compiles it and may fail to keep the machine code on the disk."""
    try:
        loop(*arguments)
    except OSError:  # it is compiled by now
        loop(*arguments)
