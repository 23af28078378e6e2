"""The values between the samples, as far as the signal tells: ``E|f - s|^2 / E|s|^2`` over the box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinefield.errors import integer
from sinefield.losses.schedule import Weight
from sinefield.losses.value import Value

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sinefield.signals.base import Signal


class Between(Value):
    """The values anywhere: keeps a field that is fitted at the samples from inventing what lies between them.

    Args:
        weight: multiplies the term.
        count: points per step, anywhere in the box.
    """

    def __init__(self, weight: Weight = 1.0, count: int = 1024) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D), uniform in the box."""
        return signal.uniform(self.count, generator)
