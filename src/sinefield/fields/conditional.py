"""A field for each of many pictures: what a network makes of the pixels that it sees of one are weights of another.

    f(x; picture) = base(x; theta),      theta = make(what is seen of the picture)

A point is (x, number, view), (N, D + 2): coordinates, the number of a picture in its collection, and the seed of which
of its pixels are seen, 0 for all. So a batch says by itself what everybody sees. Derivatives are by x alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import NamedTuple, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.fields import layerwise
from sinefield.fields.grouping import places
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.over_base import OverBase

CONDITIONS = 2  # columns behind the coordinates: number and view
_MOST = 2**32  # views of a picture


def pictures(conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The P pictures that points (N, 2) are of, in order: numbers (P,), views (P,), and the row of each point (N,).

    >>> pictures(torch.tensor([[3.0, 0.0], [1.0, 7.0], [3.0, 0.0]]))
    (tensor([1, 3]), tensor([7, 0]), tensor([1, 0, 1]))
    """
    numbers, views = conditions.detach().long().unbind(1)
    which, row = (numbers * _MOST + views).unique(return_inverse=True)  # by rows it would take longer than a network
    return which.div(_MOST, rounding_mode="floor"), which.remainder(_MOST), row


class Observation(NamedTuple):
    """What is seen of P pictures, at the S points of the grid that they share.

    Attributes:
        numbers: (P,), of the pictures in their collection; -1 for one that is in none.
        views: (P,), the seeds of what is seen.
        x: (S, D) coordinates, rows first.
        values: (P, S, C) in [-1, 1]; 0 where nothing is seen.
        seen: (P, S), whether a point is seen.
        shape: of the grid, rows first.
    """

    numbers: Tensor
    views: Tensor
    x: Tensor
    values: Tensor
    seen: Tensor
    shape: tuple[int, ...]


class Made(NamedTuple):
    """What is made of P pictures.

    Attributes:
        parameters: of the base by their names, (P, ...) each; those left out are the base's own.
        sizes: (P, 2), mean squares of code and weights, 0 of what there is none of: see `Jet.sizes`.
    """

    parameters: Mapping[str, Tensor]
    sizes: Tensor


class OverPictures(OverBase):
    """A field over a base network, which looks at pictures.

    Args:
        base: the coordinate network, R^D -> R^C.
        dims: D.
    """

    def __init__(self, base: CoordinateMLP, dims: int) -> None:
        super().__init__()
        require(isinstance(base, CoordinateMLP), f"field.base must be a field such as conf/field/mlp, not {base!r}")
        self.base, self.dims = base, dims
        self.look: Callable[[Tensor, Tensor], Observation] | None = None

    def observe(self, look: Callable[[Tensor, Tensor], Observation]) -> None:
        """Take the means to look at pictures: numbers (P,) and views (P,) to what is seen of them."""
        self.look = look

    def seen_at(self, x: Tensor) -> tuple[Observation, Tensor]:
        """What is seen of the P pictures that points (N, D + 2) are of, and the row of each point, (N,).

        Raises:
            UserError: there are no pictures to look at: this is the field of a finished run, loaded without them.
        """
        require(self.look is not None, "this field has no pictures to look at; show it some, signal.show(field)")
        assert self.look is not None
        numbers, views, row = pictures(x[:, self.dims :])
        return self.look(numbers, views), row


class Conditional(OverPictures, ABC):
    """A base network whose weights are made of what is seen of a picture."""

    def begin(self, x: Tensor, pictures: Tensor) -> None:
        """Take what a fit starts from off many pictures (P, S, C) at the points x (S, D); here nothing."""

    @abstractmethod
    def make(self, observation: Observation) -> Made:
        """The parameters of the base for each of the pictures."""

    def jet(
        self,
        x: Tensor,
        order: int,
        operators: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Jet:
        """Value (N, C), gradient (N, C, D) and M sums of second derivatives (N, C, M), at x (N, D + 2)."""
        if parameters is not None:
            return layerwise.jet_given(cast("CoordinateMLP", self), parameters, x, order, operators)
        seen, row = self.seen_at(x)
        made = self.make(seen)
        jet = self.jet_of(made, x[:, : self.dims], row, len(seen.numbers), order, operators)
        return jet._replace(sizes=made.sizes[row])

    def jet_of(
        self, made: Made, x: Tensor, row: Tensor, count: int, order: int, operators: Tensor | None = None
    ) -> Jet:
        """The jet at x (N, D), point n by the network that is made of picture row[n] of `count`."""
        flat, room = places(row, row.bincount(minlength=count))
        grouped = x.new_zeros(count * room, x.shape[1]).index_copy(0, flat, x).unflatten(0, (count, room))
        jet = self.base.jet(grouped, order, operators, self.all_parameters(made, count))
        return jet.map(lambda t: t.flatten(0, 1).index_select(0, flat))

    def all_parameters(self, made: Made, count: int) -> dict[str, Tensor]:
        """Parameters and buffers of the base for each of `count` pictures, (P, ...): those made, and the rest."""
        own = (*self.base.named_parameters(), *self.base.named_buffers())
        return {name: tensor.expand(count, *tensor.shape) for name, tensor in own} | dict(made.parameters)

    def alone(self, observation: Observation) -> CoordinateMLP:
        """The network of one picture, seen as `observation` has it (P = 1), as a plain field with its own weights."""
        return self.networks(self.make(observation), 1)[0]

    @torch.no_grad()
    def networks(self, made: Made, count: int) -> list[CoordinateMLP]:
        """The networks of `count` pictures as plain fields with weights of their own."""
        given, fields = self.all_parameters(made, count), [deepcopy(self.base) for _ in range(count)]
        for k, field in enumerate(fields):
            field.load_state_dict({name: given[name][k] for name in field.state_dict()})
        return fields

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (..., C) at points x: (..., D + 2)."""
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*x.shape[:-1], value.shape[-1])
