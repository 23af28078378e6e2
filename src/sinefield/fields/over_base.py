"""What a field that is made of a base network says of itself: the base's head, activation and derivatives."""

from __future__ import annotations

import torch
from torch import nn

from sinefield.activations.base import Activation
from sinefield.fields.mlp import CoordinateMLP


class OverBase(nn.Module):
    """One field over a base.

    Attributes:
        base: the coordinate network.
    """

    base: CoordinateMLP

    @property
    def head(self) -> nn.Linear:
        """The last layer of the base."""
        return self.base.head

    @property
    def activation(self) -> Activation:
        """Of the base."""
        return self.base.activation

    @property
    def stack(self) -> torch.Size:
        """(): this is one field, however many signals it knows."""
        return torch.Size()

    @property
    def max_order(self) -> int:
        """How many of the field's derivatives carry information."""
        return self.base.max_order
