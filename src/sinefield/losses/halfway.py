"""Halfway between two samples along the last axis, a guess g from both: ``E|f(x) - g(x)|^2 / E|s|^2``.

Of a film, a weak pull towards a frame between two that are trained on, where a network is free to invent. A mean of two
guesses with errors of their own is better than either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer
from sinefield.losses.schedule import Weight
from sinefield.losses.value import Value

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class Halfway(Value):
    """A film's own guess, moved along its motion; of another signal, the mean of both samples.

    Args:
        weight: multiplies the term.
        count: points per step, at samples along the other axes.
    """

    def __init__(self, weight: Weight = 1.0, count: int = 2048) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D), halfway between two samples that follow one another along the last axis."""
        last, *others = signal.shape  # rows first, so the last axis comes first
        device = signal.extent.device
        drawn = [torch.randint(n, (self.count,), generator=generator, device=device) for n in (last - 1, *others)]
        numbers = torch.stack(drawn, dim=-1).flip(-1).to(signal.extent.dtype)
        numbers[:, -1] += 0.5
        return signal.coordinates(numbers)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(N, C), the guess."""
        known: Any = signal
        if getattr(signal, "moves", False):
            return Jet(known.halfway(x))
        half = torch.zeros_like(x[0])
        half[-1] = signal.spacings[-1] / 2
        return Jet((signal.jet(x - half, 0).value + signal.jet(x + half, 0).value) / 2)
