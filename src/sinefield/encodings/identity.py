"""No encoding: the coordinates themselves."""

from __future__ import annotations

from typing import ClassVar

from sinefield.encodings.base import Encoding
from sinefield.jet import Jet


class Identity(Encoding):
    """``x -> x``, F = D.

    Args:
        in_features: D, the number of coordinates.
    """

    curved: ClassVar[bool] = False

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.features = in_features

    def forward(self, jet: Jet) -> Jet:
        """The jet itself."""
        return jet
