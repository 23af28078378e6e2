"""The heat equation in one dimension of space: ``u_t = a u_xx``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals import heat
    from sinefield.signals.base import Signal


class Heat(Equation):
    """``std^2 (u_t / a - u_xx)``, std of what it starts with, anywhere in the box of (x, t).

    Args:
        weight: multiplies the term.
        count: points per step.
    """

    order = 2
    affine = True
    operators = torch.tensor([[1.0, 0.0]])  # u_xx alone

    def __init__(self, weight: Weight = 1.0, count: int = 4096) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, 2)."""
        require(hasattr(signal, "diffusivity"), "loss=heat needs a signal with a diffusivity, such as signal=heat")
        return signal.uniform(self.count, generator)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(std^2 / a, std^2), per unit of the time coordinate, (N, 2)."""
        rod = cast("heat.Heat", signal)
        return Jet(x.new_tensor([1 / (rod.diffusivity * rod.pace), 1.0]).expand(len(x), 2) * rod.std**2)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.gradient is not None
        assert field.second is not None
        later, bend = known.value.split(1, dim=-1)
        return later * field.gradient[..., -1] - bend * field.second.squeeze(-1)
