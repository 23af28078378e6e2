"""Poisson's equation: ``-lap u = f``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals import poisson
    from sinefield.signals.base import Signal


class Poisson(Equation):
    """``lap u + f`` anywhere in the box, over the mean square of f at the samples.

    Args:
        weight: multiplies the term.
        count: points per step.
    """

    order = 2
    affine = True

    def __init__(self, weight: Weight = 1.0, count: int = 4096) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D)."""
        return signal.uniform(self.count, generator)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """f (N, 1)."""
        require(hasattr(signal, "source"), "loss=poisson needs a signal with a source, such as signal=poisson")
        return Jet(cast("poisson.Poisson", signal).source(x))

    def mean_square(self, signal: Signal) -> Tensor:
        """Of f, ()."""
        return self.known(signal, signal.grid()).value.square().mean()

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.second is not None
        return field.second.squeeze(-1) + known.value
