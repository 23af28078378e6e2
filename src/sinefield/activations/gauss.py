"""Gaussian: ``s(z) = exp(-(a z)^2)``, s' = -2 a^2 z s, s'' = (4 a^4 z^2 - 2 a^2) s.

Source: Ramasinghe & Lucey, Beyond Periodicity, arXiv 2111.15135, with exp(-z^2 / (2 sigma^2)); written with
a = 1/(sigma sqrt(2)) as WIRE's comparison does (arXiv 2301.05187).
"""

import math

from torch import Tensor, nn

from sinefield.activations.base import Activation, uniform_
from sinefield.core.jet import Derivatives
from sinefield.errors import positive


class Gauss(Activation):
    """``s(z) = exp(-(a z)^2)``.

    Args:
        sharpness: a, in units of 1/z: the inverse width of the bump. WIRE's comparison uses 30 for large pictures.

    >>> import torch
    >>> [part.item() for part in Gauss(sharpness=1.0)(torch.zeros(1), order=2)]
    [1.0, -0.0, -2.0]
    """

    def __init__(self, sharpness: float = 10.0) -> None:
        super().__init__()
        self.sharpness = positive("activation.sharpness", sharpness)

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s, -2 a^2 z s, (4 a^4 z^2 - 2 a^2) s)[:order + 1] with s = exp(-(a z)^2), each shaped like z."""
        a2 = self.sharpness**2
        value = (-a2 * z * z).exp()
        if order == 0:
            return (value,)
        slope = -2 * a2 * z * value
        return (value, slope) if order == 1 else (value, slope, (4 * a2 * a2 * z * z - 2 * a2) * value)

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """W ~ U(-1/sqrt(n), 1/sqrt(n)), n inputs: torch.nn.Linear's own, as in WIRE's code."""
        uniform_(layer.weight, 1 / math.sqrt(layer.in_features))
