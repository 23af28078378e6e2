"""The sizes of code and weights of a field for many pictures: the priors of the paper on both.

    0.1 E z^2 + 100 E theta^2

means over the pictures of a step, and over the numbers of a code and the weights that are made of it.
Source: Sitzmann et al., arXiv 2006.09661, sec. 4.4.
"""

from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.base import Equation, Term
from sinefield.losses.schedule import Weight


class _Size(Equation):
    """A mean square that the field tells of the picture at each point, weighted as it stands."""

    column: int
    known = Term.known  # so that it stands together with the terms that look at the signal, and takes their jet

    def __call__(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(n,), the mean square."""
        require(field.sizes is not None, "this term is for a field of many pictures, signal=collection")
        assert field.sizes is not None
        return field.sizes[..., self.column]

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1), the root of the mean square."""
        return self(field, known, x).sqrt().unsqueeze(-1)


class CodeSize(_Size):
    """The mean square of the code."""

    column = 0

    def __init__(self, weight: Weight = 0.1) -> None:
        super().__init__(weight)


class WeightSize(_Size):
    """The mean square of the weights that are made."""

    column = 1

    def __init__(self, weight: Weight = 100.0) -> None:
        super().__init__(weight)
