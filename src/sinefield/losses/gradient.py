"""The gradient: ``E|grad f - grad s|^2 / E|grad s|^2``; it leaves one constant per channel free.

Source: Sitzmann et al., arXiv 2006.09661, sec. 4.1 (Poisson image reconstruction), eq. 6.
"""

from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.losses.base import Term


class Gradient(Term):
    """``|grad f - grad s|^2`` at every point, summed over channels and axes, relative to that of the signal."""

    order = 1
    affine = True

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C D)."""
        assert field.gradient is not None
        assert known.gradient is not None
        return (field.gradient - known.gradient).flatten(-2)

    def unseen(self, error: Tensor) -> Tensor:
        """The mean error of each channel, (H, W, C), or (D, H, W, C)."""
        return error.flatten(0, -2).mean(dim=0).expand_as(error)
