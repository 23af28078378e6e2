"""What every loss answers: how deep the jets must go, what they are compared at, and what stays free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sinefield.errors import positive, require
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
        group: how many consecutive points are compared together; a batch may be cut between groups, into pieces that
            stay in cache, since the loss is the mean over them. None: all points are one group.
        placed: whether the loss is taken at points of its own instead of where the data are sampled.
    """

    order: int
    group: int | None = 1
    placed: bool = False

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
        """The losses that are summed, each over points of its own: this one and what belongs to it."""
        return [self]

    def points(self, signal: Signal, generator: torch.Generator) -> Tensor | None:
        """(B, D) coordinates of one step, of a loss that is `placed`; None of any other."""
        return None

    def target(self, signal: Signal, x: Tensor) -> Jet:
        """What the field is compared with at x (B, D): the signal's jet, unless a subclass says otherwise."""
        return signal.jet(x, self.order)

    def freedom(self, error: Tensor) -> Tensor:
        """The part of an error that this loss cannot see, (H, W, C); nothing unless a subclass says otherwise.

        Args:
            error: (H, W, C), field minus signal at the samples.
        """
        return torch.zeros_like(error)


class DerivativeLoss(Loss):
    """A loss that sees derivatives alone, with what carries the low frequencies and what pins the rest.

    An error of wavenumber k weighs |k|^2 in a gradient loss and |k|^4 in a Laplacian loss, so the low ones starve.

    Args:
        weight: multiplies every term of this loss, not of the parts below.
        weak: a weak form of the same derivative data over distances, where all wavenumbers weigh alike; None: without.
        anchor: a loss on values at a few points, which pins what the derivatives leave free; None: it stays free.
    """

    def __init__(self, weight: float = 1.0, weak: Loss | None = None, anchor: Loss | None = None) -> None:
        super().__init__(weight)
        for name, part in (("weak", weak), ("anchor", anchor)):
            cure = f"choose loss/{name}=… from conf/loss/{name}"
            require(part is None or isinstance(part, Loss), f"loss.{name} must be a loss or null, not {part!r}; {cure}")
        self.weak = weak
        self.anchor = anchor

    @property
    def parts(self) -> Sequence[Loss]:
        """This loss, its weak form and its anchor, where it has them."""
        return [self, *(part for part in (self.weak, self.anchor) if part is not None)]

    @abstractmethod
    def unseen(self, error: Tensor) -> Tensor:
        """The part of an error, (H, W, C), that the derivatives cannot see."""

    def freedom(self, error: Tensor) -> Tensor:
        """What neither the derivatives nor the anchor can see, (H, W, C)."""
        free = self.unseen(error)
        return free if self.anchor is None else self.anchor.freedom(free)


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
    return functional.mse_loss(field, signal, reduction="sum") / (len(field) * power)
