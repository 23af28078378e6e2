"""Hyperbolic tangent: ``s(z) = tanh(z)``, s' = 1 - s^2, s'' = -2 s s'.

Source: a baseline of SIREN (arXiv 2006.09661, fig. 1); Xavier initialisation as in the authors' code.
"""

import math

from torch import Tensor, nn

from sinefield.activations.base import Activation, uniform_
from sinefield.core.jet import Derivatives


class Tanh(Activation):
    """``s(z) = tanh(z)``.

    >>> import torch
    >>> [part.item() for part in Tanh()(torch.zeros(1), order=1)]
    [0.0, 1.0]
    """

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s, 1 - s^2, -2 s (1 - s^2))[:order + 1] with s = tanh(z), each shaped like z."""
        value = z.tanh()
        if order == 0:
            return (value,)
        slope = 1 - value * value
        return (value, slope) if order == 1 else (value, slope, -2 * value * slope)

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """W ~ U(-sqrt(6/(n + m)), sqrt(6/(n + m))), n inputs, m outputs (Glorot & Bengio 2010, eq. 16)."""
        uniform_(layer.weight, math.sqrt(6 / (layer.in_features + layer.out_features)))
