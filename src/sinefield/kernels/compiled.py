"""What `sinefield.kernels.operations` does, by the compiled loops: for float32 and float64 on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinefield.kernels import loops

PRECISIONS = (torch.float32, torch.float64)


def sine_cosine(z: Tensor, w: float) -> tuple[Tensor, Tensor]:
    """As `operations.sine_cosine`."""
    found = torch.empty(z.shape, dtype=z.dtype), torch.empty(z.shape, dtype=z.dtype)
    _run(loops.sine_cosine, *(array.reshape(-1, z.shape[-1]) for array in _arrays((z, *found))), *_numbers(z, w))
    return found


def jet(z: Tensor, dz: Tensor, sz: Tensor, operators: Tensor | None, w: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `operations.jet`."""
    shapes = z.shape, z.shape, (*dz.shape[:-2], *z.shape[-2:]), (*sz.shape[:-2], *z.shape[-2:])
    sine, cosine, gradient, second = found = tuple(torch.empty(shape, dtype=z.dtype) for shape in shapes)
    arrays = _arrays((z, dz, sz, *found), stack=z.dim() == 2)
    _run(loops.jet, *arrays[:3], _weights(dz, sz, operators), *arrays[3:], *_numbers(z, w))
    return sine, cosine, gradient, second


def jet_backward(
    saved: Sequence[Tensor], by: Sequence[Tensor], operators: Tensor | None, w: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As `operations.jet_backward`."""
    sine, _, dz, sz = saved
    found = torch.empty(sine.shape, dtype=sine.dtype), torch.zeros_like(dz), torch.zeros_like(sz)
    arrays = _arrays((*saved, *by, *found), stack=sine.dim() == 2)
    _run(loops.jet_backward, *arrays[:7], _weights(dz, sz, operators), *arrays[7:], _numbers(sine, w)[0])
    return found


def _arrays(parts: Sequence[Tensor], stack: bool = False) -> list[np.ndarray]:
    """The same memory, row by row; with an axis of length 1 in front to make a stack of what belongs to one network."""
    arrays = [part.detach().contiguous().numpy() for part in parts]
    return [array[None] for array in arrays] if stack else arrays


def _weights(dz: Tensor, sz: Tensor, operators: Tensor | None) -> np.ndarray:
    """A, (M, D)."""
    count = sz.shape[-3], dz.shape[-3]
    given = torch.ones(count) if operators is None else operators
    return np.ascontiguousarray(given.to(dz.dtype).numpy())


def _numbers(like: Tensor, w: float) -> tuple[Any, Any]:
    """w and the polynomials as numbers of one precision, so that the loops compute in it."""
    dtype = np.dtype(np.float32 if like.dtype == torch.float32 else np.float64)
    return dtype.type(w), loops.TABLES[dtype]


def _run(loop: Callable[..., None], *arguments: Any) -> None:
    """Call a compiled loop, whose first call compiles it and may fail to keep the machine code on the disk."""
    try:
        loop(*arguments)
    except OSError:  # it is compiled by now
        loop(*arguments)
