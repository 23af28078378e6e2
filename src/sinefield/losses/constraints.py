"""Constraints: values at a few points that pin what derivatives leave free, or one constant per channel of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer
from sinefield.losses.base import Constraint
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class Border(Constraint):
    """``E|f - s|^2 / E|s|^2`` over the border of the box: with the Laplacian, a Dirichlet problem.

    A constant or a harmonic function that vanishes there is 0, so nothing is left free.

    Args:
        weight: multiplies the term.
        count: points per step, anywhere on the border: between fixed points the field would leave it.
    """

    def __init__(self, weight: Weight = 1.0, count: int = 512) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D), where the signal's values are given: uniform on each side of the box, a random side each."""
        return signal.border(self.count, generator)


class Mean(Constraint):
    """``|E f - E s|^2 / E|s|^2``: each channel's mean, taken over a coarse grid of samples.

    Args:
        weight: multiplies the term.
        count: at most how many samples the mean is taken over.
    """

    group = None

    def __init__(self, weight: Weight = 1.0, count: int = 1024) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)
        self.pictures = 1  # that the points are of, one after the other

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(B, D) samples at regular distances through the whole grid, B at most `count`."""
        device, shape = signal.extent.device, signal.shape
        numbers = [torch.arange(n, device=device)[part] for n, part in zip(shape, self._coarse(shape), strict=True)]
        grid = signal.lattice(numbers).flatten(0, -2)
        points = signal.everywhere(grid[:, : signal.dims], generator)
        self.pictures = len(points) // len(grid)
        return points

    def unseen(self, error: Tensor) -> Tensor:
        """All of each channel but its mean over these samples, (H, W, C)."""
        error = error - error.flatten(0, -2)[0]  # a constant leaves exactly nothing
        return error - error[self._coarse(error.shape[:-1])].flatten(0, -2).mean(dim=0)

    def _coarse(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """The samples the mean is taken over, along each axis of the grid."""
        stride = 1
        while math.prod(-(-n // stride) for n in shape) > self.count:
            stride += 1
        return tuple(slice(n // 2 % stride, n, stride) for n in shape)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(1, C), or a row for every picture."""
        return (field.value - known.value).unflatten(-2, (self.pictures, -1)).mean(-2)


class Pixel(Constraint):
    """``|f - s|^2 / E|s|^2`` at the one sample nearest to the middle."""

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(1, D) the middle sample."""
        middle = [torch.tensor([n // 2], device=signal.extent.device) for n in signal.shape]
        return signal.everywhere(signal.lattice(middle).flatten(0, -2)[:, : signal.dims], generator)

    def unseen(self, error: Tensor) -> Tensor:
        """All of each channel but its value at that sample, (H, W, C)."""
        return error - error[tuple(n // 2 for n in error.shape[:-1])]
