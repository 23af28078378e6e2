"""The plain fit: ``E|f - s|^2 / E|s|^2``."""

from __future__ import annotations

from torch import Tensor

from sinefield.jet import Jet
from sinefield.losses.base import Loss, relative


class Value(Loss):
    """``weight E|f - s|^2 / E|s|^2``, the mean over points, summed over channels (arXiv 2006.09661, eq. 5)."""

    order = 0

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"value": ()}."""
        return {"value": self.weight * relative(field.value, signal.value, power.value)}
