"""An encoder reads a code from what is seen of a picture: (P, S, C) values of which some are seen, to (P, K)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

from torch import Tensor, nn

from sinefield.errors import integer
from sinefield.fields.conditional import Observation


class Encoder(nn.Module, ABC):
    """Reads a code of K numbers from what is seen of each picture; what is not seen it knows nothing of.

    Args:
        code: K.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = integer("encoder.code", code, least=1)

    @abstractmethod
    def forward(self, observation: Observation) -> Tensor:
        """(P, K), the codes of P pictures."""


def perceptron(*widths: int) -> nn.Sequential:
    """Linear maps with ReLUs between them, Kaiming's start and no bias at first.

    >>> import torch
    >>> perceptron(3, 16, 5)(torch.zeros(7, 3)).shape
    torch.Size([7, 5])
    """
    layers: list[nn.Module] = []
    for before, behind in pairwise(widths):
        layer = nn.Linear(before, behind)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
