"""Poisson's equation: ``-lap u = f``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.inside import Inside

if TYPE_CHECKING:
    from sinefield.signals import poisson
    from sinefield.signals.base import Signal


class Poisson(Inside):
    """``lap u + f`` anywhere in the box, over the mean square of f at the samples.

    Arguments as of `Inside`.
    """

    order = 2
    affine = True

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
