"""An optimizer that looks at the terms of the loss themselves, not at their gradient alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.training.data import Samples


class FieldOptimizer(Optimizer):
    """One that is shown the field and the points of every step before the step is taken.

    Attributes:
        gradients: whether `step` needs the gradient; False where the closure may answer with the loss alone.
    """

    gradients: bool = True

    @abstractmethod
    def check(self, field: CoordinateMLP, loss: Loss, processes: int) -> None:
        """Raise `UserError` where this field, this loss or so many processes are none for it; before the first step."""

    @abstractmethod
    def solve(self, field: CoordinateMLP, loss: Loss, batch: Sequence[Samples], weights: Mapping[str, Tensor]) -> None:
        """Change the parameters by what is known at the points of a step; `step` follows.

        Args:
            field: whose parameters the optimizer has.
            loss: one of its groups of terms for each entry of the batch, which may hold all of them several times.
            batch: the points, and what is known there.
            weights: of each term over what it is relative to, () each.
        """
