"""The fit of first derivatives: ``E|grad f - grad s|^2 / E|grad s|^2``; it leaves one constant per channel free.

Source: Sitzmann et al., arXiv 2006.09661, sec. 4.1 (Poisson image reconstruction), eq. 6.
"""

from __future__ import annotations

from torch import Tensor

from sinefield.jet import Jet
from sinefield.losses.base import DerivativeLoss, relative


class Gradient(DerivativeLoss):
    """``weight E|grad f - grad s|^2 / E|grad s|^2``, the mean over points, summed over channels and axes."""

    order = 1

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"gradient": ()}."""
        return {"gradient": self.weight * relative(field.gradient, signal.gradient, power.gradient)}

    def unseen(self, error: Tensor) -> Tensor:
        """The mean error of each channel, (H, W, C)."""
        return error.mean(dim=(0, 1)).expand_as(error)
