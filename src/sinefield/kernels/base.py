"""What operations whose derivative is written out share: products in one precision, and the way back to plain rules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from sinefield.jet import affine
from sinefield.kernels import tensors


def passes(like: Tensor) -> ModuleType:
    """What does the elementwise work: `loops`, or `tensors`, which knows the same functions."""
    if like.device.type != "cpu":
        return tensors
    from sinefield.kernels import loops  # noqa: PLC0415  its compiler takes a while to load

    return loops if like.dtype in loops.PRECISIONS else tensors


def autocast(like: Tensor) -> torch.dtype | None:
    """The precision that autocast wants matrix products in; None where it is off."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def as_they_are(like: Tensor) -> AbstractContextManager[Any]:
    """Operations in the precision of their operands."""
    return nullcontext() if autocast(like) is None else torch.autocast(like.device.type, enabled=False)


def product(a: Tensor, b: Tensor, dtype: torch.dtype | None) -> Tensor:
    """a b, (n, k) or partials (D, n, k) times (k, m), with K in front of both for K networks.

    Multiplied in `dtype`; sums and what follows stay in the precision of a.
    """
    flat = a.flatten(-3, -2) if a.dim() > b.dim() else a
    found = flat @ b if dtype is None else (flat.to(dtype) @ b.to(dtype)).to(a.dtype)
    return found.unflatten(-2, a.shape[-3:-1]) if a.dim() > b.dim() else found


def mapped(h: Tensor, weight: Tensor, dtype: torch.dtype | None) -> Tensor:
    """W h, as `product` multiplies: (N, C_out) for h (N, C_in)."""
    return affine(h, weight) if dtype is None else product(h, weight.mT, dtype)


def recorded(rule: Callable[..., list[Tensor]], inputs: tuple[Tensor | None, ...], grads: Any) -> list[Tensor | None]:
    """The derivatives by the inputs, None for those that need none; in a graph of their own where one is wanted."""
    wanted = [part for part in inputs if part is not None and part.requires_grad]
    given, again = [grad for grad in grads if grad is not None], torch.is_grad_enabled()
    with torch.enable_grad():
        found = iter(torch.autograd.grad(rule(*inputs), wanted, given, create_graph=again, allow_unused=True))
    return [next(found) if part is not None and part.requires_grad else None for part in inputs]
