"""Matrix products from within compiled loops, by the library that torch multiplies with.

Called from there a product needs no interpreter, which the threads would have to wait for, one after the other.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import torch
from numba import types

from sinefield.kernels.sincos import compiled

# ?gemm of the Fortran BLAS: op(A), op(B), m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, each by its address, with
# whole numbers of 32 bits: as torch's own aten/src/ATen/native/CPUBlas.cpp declares it.
_GEMM: Any = types.void(*[types.voidptr] * 13)
_SINGLE: Any = types.ExternalFunction("sinefield_sgemm", _GEMM)
_DOUBLE: Any = types.ExternalFunction("sinefield_dgemm", _GEMM)


def _found(library: str) -> bool:
    """Whether a library, or one that it depends on, shows its products; makes them known by the names above."""
    libraries = ctypes.CDLL(library)
    try:
        addresses = [ctypes.cast(libraries[name], ctypes.c_void_p).value for name in ("sgemm_", "dgemm_")]
    except AttributeError:
        return False
    for name, address in zip(("sgemm", "dgemm"), addresses, strict=True):
        llvm.add_symbol(f"sinefield_{name}", address)
    return True


FOUND = _found(torch._C.__file__)


@compiled
def multiply(a, b, out, transpose_a, transpose_b, accumulate):  # type: ignore[no-untyped-def]
    """``out = a b``, or ``out + a b`` to accumulate; of a^T or b^T where told.

    Args:
        a, b, out: two axes each, row by row in memory without gaps, of one precision.

    Raises:
        ValueError: shapes that do not fit, or numbers of different precisions.
    """
    inner, rows = a.shape if transpose_a else a.shape[::-1]
    columns, others = b.shape if transpose_b else b.shape[::-1]
    if inner != others or out.shape != (rows, columns):
        raise ValueError("the shapes of points and weights do not fit: are there as many coordinates as in_features?")
    if a.itemsize != out.itemsize or b.itemsize != out.itemsize:
        raise ValueError("points and weights are of different precisions: give both the same dtype")
    letters, sizes, factors = np.empty(2, np.int8), np.empty(6, np.int32), np.empty(2, out.dtype)
    # The library counts along columns first: to it these are a^T, b^T and out^T = b^T a^T.
    letters[0], letters[1] = ord("T") if transpose_b else ord("N"), ord("T") if transpose_a else ord("N")
    sizes[0], sizes[1], sizes[2] = columns, rows, inner
    sizes[3], sizes[4], sizes[5] = b.shape[1], a.shape[1], columns
    factors[0], factors[1] = 1, 1 if accumulate else 0
    arguments = (
        letters.ctypes, letters[1:].ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes, factors.ctypes,
        b.ctypes, sizes[3:].ctypes, a.ctypes, sizes[4:].ctypes, factors[1:].ctypes, out.ctypes, sizes[5:].ctypes,
    )  # fmt: skip
    if out.itemsize == 4:
        _SINGLE(*arguments)
    else:
        _DOUBLE(*arguments)
