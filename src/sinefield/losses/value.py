"""The values: ``E|f - s|^2 / E|s|^2`` (Sitzmann et al., arXiv 2006.09661, eq. 5)."""

from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.losses.base import Term


class Value(Term):
    """``|f - s|^2`` at every point, summed over channels, relative to the mean square of the signal's values."""

    affine = True

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        return field.value - known.value
