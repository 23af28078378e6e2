"""Fields of many pictures by a code: an encoder reads it from what is seen, and a network makes weights of it.

z = encoder(what is seen)      theta = start + made(z)      f(x; picture) = base(x; theta)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from sinefield.errors import require
from sinefield.fields.conditional import Conditional, Made, Observation
from sinefield.fields.encoders.base import Encoder
from sinefield.fields.mlp import CoordinateMLP


class Coded(Conditional):
    """A base network, whose own weights are the start, with weights made of a code.

    Attributes:
        code: K, numbers of a code.
    """

    code: int

    @abstractmethod
    def encode(self, observation: Observation) -> Tensor:
        """(P, K), the codes of P pictures."""

    @abstractmethod
    def weights(self, code: Tensor) -> dict[str, Tensor]:
        """What is added to the start, by the names of the base's parameters, (P, ...) each, of codes (P, K)."""

    def parameters_of(self, code: Tensor) -> dict[str, Tensor]:
        """Parameters of the base by their names, (P, ...) each, made of codes (P, K)."""
        own = dict(self.base.named_parameters())
        return {name: own[name] + change for name, change in self.weights(code).items()}

    def make(self, observation: Observation) -> Made:
        """Encode, and make weights of the codes."""
        return self.made(self.encode(observation))

    def made(self, code: Tensor) -> Made:
        """What is made of codes (P, K): weights, and the mean squares of code and weights."""
        given = self.parameters_of(code)
        flat = torch.cat([tensor.flatten(1) for tensor in given.values()], dim=1)
        return Made(given, torch.stack([code.square().mean(1), flat.square().mean(1)], dim=1))


class Encoded(Coded):
    """A field whose code an encoder reads.

    Args:
        base: the coordinate network, whose own weights are the start.
        dims: D.
        encoder: reads the code.
    """

    def __init__(self, base: CoordinateMLP, dims: int, encoder: Encoder) -> None:
        super().__init__(base, dims)
        cure = "with a _target_, such as those in conf/encoder"
        require(isinstance(encoder, Encoder), f"field.encoder must be an Encoder {cure}, not {encoder!r}")
        self.encoder, self.code = encoder, encoder.code

    def encode(self, observation: Observation) -> Tensor:
        """(P, K), as the encoder has them."""
        return cast("Tensor", self.encoder(observation))


class Heads(nn.Module):
    """Linear maps from hidden features to tensors of these shapes, each in units of its root mean square at the start.

    Their weights start as Kaiming's over 100, so that all pictures start as nearly the same network.
    Source: Sitzmann et al., arXiv 2006.09661, supplement 7.

    Args:
        features: in front of each; the number, for each tensor one map.
        start: the tensors by name.
    """

    units: Tensor

    def __init__(self, features: int, start: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.shapes = {name: tensor.shape for name, tensor in start.items()}
        self.maps = nn.ModuleList(nn.Linear(features, tensor.numel()) for tensor in start.values())
        units = torch.stack([tensor.detach().square().mean().sqrt() for tensor in start.values()])
        # A buffer: who loads the field of a run has built it with other random weights.
        self.register_buffer("units", torch.where(units > 0, units, 1.0))
        for each in self.maps:
            assert isinstance(each, nn.Linear)
            nn.init.kaiming_normal_(each.weight)
            each.weight.data /= 100
            nn.init.zeros_(each.bias)

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """(P, ...) tensors by name, from features (P, F), one entry for each."""
        parts = zip(self.shapes.items(), self.maps, self.units, features, strict=True)
        return {name: unit * one(h).unflatten(1, shape) for (name, shape), one, unit, h in parts}
