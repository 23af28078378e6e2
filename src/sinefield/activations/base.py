"""What every activation answers: its first derivatives in closed form, and how the layer before it starts."""

import math
from abc import ABC, abstractmethod
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from sinefield.core.jet import Derivatives, Jet, elementwise, linear


class Activation(nn.Module, ABC):
    """An elementwise function s: R -> R with s' and s'', and the initialisation of the linear map in front of it.

    Attributes:
        max_order: how many derivatives carry information: 1 where s'' is 0 almost everywhere, as a Laplacian then is.
    """

    max_order: ClassVar[int] = 2

    @abstractmethod
    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s(z), s'(z), s''(z))[:order + 1], each shaped like z; `first` says that the coordinates are in front."""

    def layer(self, jet: Jet, weight: Tensor, bias: Tensor, first: bool = False) -> Jet:
        """The jet of ``s(W h + b)`` for the jet of h; a subclass may know a faster way to the same numbers."""
        return elementwise(linear(jet, weight, bias), partial(self, first=first))

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """Draw W and b of the layer in front. Default: Kaiming-normal W, as the SIREN authors use for ReLU.

            W ~ N(0, 2/n),  b ~ U(-1/sqrt(n), 1/sqrt(n)),  n inputs

        Args:
            layer: maps what comes in to z.
            first: whether the layer has the coordinates in front, not the waves of an encoding or a layer.

        Source: He et al., arXiv 1502.01852, eq. 10; b as torch.nn.Linear has it.
        """
        nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_features))

    def initialize_head(self, layer: nn.Linear) -> None:
        """Draw W and b of the linear layer behind the last activation. Default: as in front of a hidden one."""
        self.initialize(layer, first=False)


def uniform_(tensor: Tensor, bound: float) -> None:
    """Fill `tensor` in place from U(-bound, bound)."""
    with torch.no_grad():
        tensor.uniform_(-bound, bound)
