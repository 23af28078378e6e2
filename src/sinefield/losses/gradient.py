"""The gradient: ``E|grad f - grad s|^2 / E|grad s|^2``; it leaves one constant per channel free.

Source: Sitzmann et al., arXiv 2006.09661, sec. 4.1 (Poisson image reconstruction), eq. 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.losses.base import Term

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class Gradient(Term):
    """``|grad f - grad s|^2`` at every point, summed over channels and axes, relative to that of the signal."""

    order = 1

    def __call__(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N,)."""
        assert field.gradient is not None
        assert known.gradient is not None
        return (field.gradient - known.gradient).square().sum((-2, -1))

    def mean_square(self, signal: Signal) -> Tensor:
        """``E|grad s|^2``, ()."""
        found = signal.mean_squares(1).gradient
        assert found is not None
        return found

    def unseen(self, error: Tensor) -> Tensor:
        """The mean error of each channel, (H, W, C)."""
        return error.mean(dim=(0, 1)).expand_as(error)
