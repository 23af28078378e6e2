"""What every loss answers: how deep the jets must go, what they are compared at, and what stays free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.errors import positive
from sinefield.jet import Jet

if TYPE_CHECKING:  # a loss asks its signal for points, and imports none
    from sinefield.signals.base import Signal


class Loss(ABC):
    """A weighted comparison of two jets.

    Args:
        weight: multiplies every term. Terms are relative to the signal's power, so a weight means the same for
            every picture.

    Attributes:
        order: how deep both jets must go: 0 value, 1 gradient, 2 Laplacian.
        divisible: whether the loss over N points is the mean of the losses over their parts, so that a batch may be
            cut into pieces that stay in cache.
    """

    order: int
    divisible: bool = True

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = positive("the weight of a loss", weight)

    @abstractmethod
    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """The weighted terms, () each, by name; their sum is what is minimised.

        Args:
            field: the field's jet at N points.
            signal: the signal's jet at the same points.
            power: mean squares of the signal, () each, as `Signal.power` gives them.
        """

    @property
    def parts(self) -> Sequence[Loss]:
        """The losses that are summed, each over points of its own: this one and its anchor, where it has one."""
        return [self]

    def points(self, signal: Signal) -> Tensor | None:
        """(B, D) coordinates where this loss must be taken, every step; None: wherever the data are sampled."""
        return None

    def freedom(self, error: Tensor) -> Tensor:
        """The part of an error that this loss cannot see, (H, W, C); nothing unless a subclass says otherwise.

        Args:
            error: (H, W, C), field minus signal at the samples.
        """
        return torch.zeros_like(error)


class Anchored(Loss):
    """A loss that sees derivatives alone, and the anchor that pins what they leave free.

    Args:
        weight: multiplies every term.
        anchor: a loss on values at a few points; None leaves the freedom, as the paper does.
    """

    def __init__(self, weight: float = 1.0, anchor: Loss | None = None) -> None:
        super().__init__(weight)
        self.anchor = anchor

    @property
    def parts(self) -> Sequence[Loss]:
        """This loss and its anchor, where it has one."""
        return [self] if self.anchor is None else [self, self.anchor]


def relative(field: Tensor | None, signal: Tensor | None, power: Tensor | None) -> Tensor:
    """``E|field - signal|^2 / power``: the mean over points of the squared error, summed over channels, relative.

    Args:
        field, signal: (N, C) or (N, C, D), the same part of two jets.
        power: (), the mean square of that part over the signal.

    >>> relative(torch.zeros(4, 3), torch.ones(4, 3), power=torch.tensor(3.0))
    tensor(1.)
    """
    if field is None or signal is None or power is None:
        raise TypeError("this loss needs jets of a higher order; ask field and signal for loss.order")
    return (field - signal).square().sum() / (len(field) * power)
