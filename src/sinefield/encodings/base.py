"""What every encoding answers: how many features it gives, and their jet."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from sinefield.core import autocast
from sinefield.core.jet import Jet
from sinefield.kernels.layer import layer


class Encoding(nn.Module, ABC):
    """A fixed map R^D -> R^F of the coordinates, given as a rule on jets.

    Attributes:
        features: F, the number of outputs.
        has_second_derivative: whether the features themselves have second derivatives.
    """

    features: int
    has_second_derivative: ClassVar[bool] = True

    @abstractmethod
    def forward(self, jet: Jet) -> Jet:
        """The jet of the F features, from the jet of the D coordinates."""


def waves(jet: Jet, matrix: Tensor) -> Jet:
    """The jet of ``(sin(M x), cos(M x))``, from that of x: a layer of sines, half of them a quarter of a wave ahead.

    In the precision of x, whatever autocast wants: 8 bits of a phase of a hundred radians would be none of its angle.

    Args:
        jet: of x, D channels.
        matrix: M, (F, D), or (K, F, D) for K maps at once, in radians per unit of x.
    """
    ahead = matrix.new_full(matrix.shape[:-1], math.pi / 2)
    weight, bias = torch.cat([matrix, matrix], dim=-2), torch.cat([torch.zeros_like(ahead), ahead], dim=-1)
    with autocast.off(matrix.device.type):
        return layer(jet, weight, bias, 1.0)


def fixed(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Store a matrix that is part of the map but not trained: it moves with the module and is saved with it."""
    module.register_buffer(name, tensor.to(torch.get_default_dtype()))
