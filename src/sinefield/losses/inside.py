"""An equation that holds inside a box, at points drawn anywhere in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinefield.errors import integer
from sinefield.losses.base import Equation

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sinefield.losses.schedule import Weight
    from sinefield.signals.base import Signal


class Inside(Equation):
    """An equation at points of its own.

    Args:
        weight: multiplies the term.
        count: points per step.
    """

    def __init__(self, weight: Weight = 1.0, count: int = 4096) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D), uniform in the box."""
        return signal.uniform(self.count, generator)
