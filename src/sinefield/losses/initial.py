"""Initial values: ``u(x, 0) = g(x)``, and where wanted ``u_t(x, 0) = h(x)``, as the signal has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals import solution
    from sinefield.signals.base import Signal


class Initial(Equation):
    """``(u - g, std (u_t - h))``, std the length of what the signal starts with; time is the last coordinate.

    Args:
        weight: multiplies the term.
        count: random points per step; None for the signal's regular grid over all that can reach the box.
        velocity: compare u_t too, unless None.
        spacing: of that grid, over the length of what it starts with.
    """

    affine = True

    def __init__(
        self,
        weight: Weight = 1.0,
        count: int | None = None,
        velocity: Sequence[float] | bool | None = None,
        spacing: float = 0.9,
    ) -> None:
        super().__init__(weight)
        self.spacing = positive("spacing of initial values", spacing)
        self.count = None if count is None else integer("the count of a term", count, least=1)
        self.order = 0 if velocity is None else 1

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(N, D)."""
        require(hasattr(signal, "start"), "a term of initial values needs a signal that starts, such as signal=wave")
        if self.count is None:
            return cast("solution.Evolving", signal).starting_points(self.spacing)
        return cast("solution.Evolving", signal).near_start(self.count, generator)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(g, std h) as a value (N, 2), and std as a third column."""
        start = cast("solution.Evolving", signal).start(x)
        assert start.gradient is not None
        std = torch.full_like(start.value, float(getattr(signal, "std", 1.0)))
        return Jet(torch.cat([start.value, start.gradient[:, :, -1], std], dim=1))

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C), or (N, 2 C)."""
        value, slope, std = known.value.split(1, dim=-1)
        if field.gradient is None or self.order == 0:
            return field.value - value
        return torch.cat([field.value - value, std * (field.gradient[..., -1] - slope)], dim=-1)
