"""Linear maps from features of a code to tensors of a base network, for `field=hypernetwork` and `modulated`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


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
