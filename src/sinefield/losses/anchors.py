"""Anchors: values at a few points that pin what a derivative loss leaves free."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.errors import whole
from sinefield.jet import Jet
from sinefield.losses.base import Loss, relative

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class Border(Loss):
    """``weight E|f - s|^2 / E|s|^2`` over the border of the box: with the Laplacian, a Dirichlet problem.

    Args:
        weight: multiplies the term.
        count: points per step, anywhere on the border: between fixed points the field would leave it.
    """

    order = 0
    placed = True

    def __init__(self, weight: float = 1.0, count: int = 512) -> None:
        super().__init__(weight)
        self.count = whole("loss.anchor.count", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator) -> Tensor:
        """(count, D), where the signal's values are given: uniform on each side of the box, a random side each."""
        return signal.border(self.count, generator)

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"border": ()}."""
        return {"border": self.weight * relative(field.value, signal.value, power.value)}


class Mean(Loss):
    """``weight |E f - E s|^2 / E|s|^2``: each channel's mean, taken over a coarse grid of samples.

    Args:
        weight: multiplies the term.
        count: at most how many samples the mean is taken over.
    """

    order = 0
    placed = True
    group = None

    def __init__(self, weight: float = 1.0, count: int = 1024) -> None:
        super().__init__(weight)
        self.count = whole("loss.anchor.count", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator) -> Tensor:
        """(B, D) samples at regular distances through the whole grid, B at most `count`."""
        stride = 1
        while math.prod(-(-n // stride) for n in signal.shape) > self.count:
            stride += 1
        device = signal.extent.device
        numbers = [torch.arange(n // 2 % stride, n, stride, device=device) for n in signal.shape]
        return signal.lattice(numbers).flatten(0, -2)

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"mean": ()}."""
        mean, target = field.value.mean(dim=0, keepdim=True), signal.value.mean(dim=0, keepdim=True)
        return {"mean": self.weight * relative(mean, target, power.value)}


class Pixel(Loss):
    """``weight |f - s|^2 / E|s|^2`` at the one sample nearest to the middle."""

    order = 0
    placed = True

    def points(self, signal: Signal, generator: torch.Generator) -> Tensor:
        """(1, D) the middle sample."""
        middle = [torch.tensor([n // 2], device=signal.extent.device) for n in signal.shape]
        return signal.lattice(middle).flatten(0, -2)

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"pixel": ()}."""
        return {"pixel": self.weight * relative(field.value, signal.value, power.value)}
