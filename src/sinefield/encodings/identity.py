"""No encoding: the coordinates themselves."""

from typing import ClassVar

from sinefield.core.jet import Jet
from sinefield.encodings.base import Encoding


class Identity(Encoding):
    """``x -> x``, F = D.

    Args:
        in_features: D, the number of coordinates.
    """

    has_second_derivative: ClassVar[bool] = False

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.features = in_features

    def forward(self, jet: Jet) -> Jet:
        """The jet itself."""
        return jet
