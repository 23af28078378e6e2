"""What every encoding answers: how many features it gives, and their jet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from sinefield.jet import Derivatives, Jet


class Encoding(nn.Module, ABC):
    """A fixed map R^D -> R^F of the coordinates, given as a rule on jets.

    Attributes:
        features: F, the number of outputs.
        curved: whether the features themselves have second derivatives.
    """

    features: int
    curved: ClassVar[bool] = True

    @abstractmethod
    def forward(self, jet: Jet) -> Jet:
        """The jet of the F features, from the jet of the D coordinates."""


def sine(z: Tensor, order: int) -> Derivatives:
    """(sin z, cos z, -sin z)[:order + 1]."""
    return (z.sin(), z.cos(), -z.sin())[: order + 1]


def cosine(z: Tensor, order: int) -> Derivatives:
    """(cos z, -sin z, -cos z)[:order + 1]."""
    return (z.cos(), -z.sin(), -z.cos())[: order + 1]


def fixed(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Store a matrix that is part of the map but not trained: it moves with the module and is saved with it."""
    module.register_buffer(name, tensor.to(torch.get_default_dtype()))
