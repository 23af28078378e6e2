"""What every encoding answers: how many features it gives, and their jet."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from sinefield.core import autocast
from sinefield.core.jet import Jet
from sinefield.kernels.layer import layer


class Encoding(nn.Module, ABC):
    """A map R^D -> R^F of the coordinates, given as a rule on jets; a fixed one unless it has parameters.

    Attributes:
        features: F, the number of outputs.
        has_second_derivative: whether the features themselves have second derivatives.
    """

    features: int
    has_second_derivative: ClassVar[bool] = True

    @abstractmethod
    def forward(self, jet: Jet) -> Jet:
        """The jet of the F features, from the jet of the D coordinates."""


class Waves(Encoding):
    """``x -> (sin(M x), cos(M x))``: a layer of sines that is not trained, half of them a quarter of a wave ahead.

    Args:
        matrix: M, (F/2, D), in radians per unit of x; it moves with the module and is saved with it.
    """

    matrix: Tensor

    @abstractmethod
    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.features = 2 * len(matrix)
        self.register_buffer("matrix", matrix.to(torch.get_default_dtype()))

    def forward(self, jet: Jet) -> Jet:
        """The jet of the F features, from the jet of the D coordinates; for K fields at once M is (K, F/2, D).

        In the precision of x, whatever autocast wants: 8 bits of a phase of a hundred radians are none of its angle.
        """
        ahead = self.matrix.new_full(self.matrix.shape[:-1], math.pi / 2)
        weight = torch.cat([self.matrix, self.matrix], dim=-2)
        with autocast.off(weight.device.type):
            return layer(jet, weight, torch.cat([torch.zeros_like(ahead), ahead], dim=-1), 1.0)
