"""A loss is a sum of terms; a term says where, what is known there, and what the field's jet should satisfy.

    loss = sum_t weight_t E|r_t|^2 / M_t

over all points, or groups of points, of a term: r_t is its residual, and M_t the mean square of what is compared, so
that a weight means the same for every signal. A term of an equation compares with no signal: its M_t is 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.schedule import Schedule, Weight

if TYPE_CHECKING:  # a term asks its signal for points, and imports none
    from sinefield.signals.base import Signal


class Term(ABC):
    """One thing that the field's jet should satisfy.

    Args:
        weight: multiplies the term; pairs (part of the run from 0 to 1, weight) for one that changes, see `Schedule`.

    Attributes:
        order: how deep the field's jet must go: 0 value, 1 gradient, 2 second derivatives.
        operators: A, (M, D), of the second derivatives; None for the Laplacian.
        sees: the lowest derivative that the term sees, `order` where None.
        group: consecutive points that are compared together: a pair, a stencil, a ray; None: all points of a step.
        affine: whether `residual` is affine in the field's jet, so that its head can be solved for.
        place: names points of its own that other terms have too; those of one place share points and jet. None: alone.
        by_points: whether `residual` differentiates the field's jet by the points.
        pointwise: another term, whose residuals (n, R) at all points this one takes to its own by `transform`; or None.
    """

    order: int = 0
    operators: Tensor | None = None
    sees: int | None = None
    group: int | None = 1
    affine: bool = False
    place: Hashable = None
    by_points: bool = False
    pointwise: Term | None = None

    def __init__(self, weight: Weight = 1.0) -> None:
        self.weight = Schedule(weight)

    def __call__(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """The squared residual of every group, (n,), summed over channels and axes; arguments as of `residual`."""
        return self.residual(field, known, x).square().sum(-1)

    @abstractmethod
    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """The residual of every group, (n, R), without weight.

        Args:
            field: the field's jet at N = n times `group` points.
            known: what `known` gave at the same points; for a stack of K fields both have K in front, as the result.
            x: (N, D) coordinates.
        """

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor | None:
        """(N, D) coordinates of one step; None for those at which the data are drawn.

        Args:
            signal: where they lie.
            generator: of random numbers.
            progress: how much of the run is done, 0 to 1.
        """
        return None

    def refine(self, field: nn.Module, x: Tensor) -> Tensor:
        """The points in better places, by what the field is now, at which the same is known."""
        return x

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """What is known at x (N, D): the signal's jet, as deep as `order`, unless a subclass says otherwise."""
        return signal.jet(x, self.order)

    def mean_square(self, signal: Signal) -> Tensor:
        """M, (): the mean square of what is compared, over the signal's samples; of its derivative of `order` here."""
        return signal.mean_squares(self.order).parts[-1]

    def transform(self, residual: Tensor, x: Tensor) -> Tensor:
        """The residual (.., n', R') from that of `pointwise` (.., n, R) at x (n, D): a linear map."""
        return residual

    def unseen(self, error: Tensor) -> Tensor:
        """The part that this term cannot see of the error field - signal at the samples, (H, W, C); nothing here."""
        return torch.zeros_like(error)


class Loss:
    """A weighted sum of terms by name.

    Args:
        terms: by the names under which they are logged; a term given as None is left out.

    Raises:
        UserError: no term is left, or something else than a term stands where one belongs.
    """

    def __init__(self, terms: Mapping[str, Term | None]) -> None:
        require(isinstance(terms, Mapping), f"loss.terms must be a table of terms by name, not {terms!r}")
        for name, term in terms.items():
            cure = f"not {term!r}; choose one, loss/term@loss.terms.NAME=…, from conf/loss/term, or null"
            require(term is None or isinstance(term, Term), f"loss.terms.{name} must be a term, {cure}")
        self.terms = {name: term for name, term in terms.items() if term is not None}
        require(bool(self.terms), "loss.terms: every term is switched off; keep at least one")
        self.groups = _groups(self.terms)

    @property
    def order(self) -> int:
        """How deep the field's jet must go for the deepest of the terms."""
        return max(term.order for term in self.terms.values())

    def weights(self, mean_squares: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """weight_t / M_t of each term when `progress` of the run is done, without those of weight 0 unless all are."""
        weights = {name: term.weight(progress) for name, term in self.terms.items()}
        idle = any(weights.values())
        return {name: value / mean_squares[name] for name, value in weights.items() if value or not idle}

    def unseen(self, error: Tensor) -> Tensor:
        """The part of an error, (H, W, C), that none of the terms can see.

        Constants are harmonic, so terms that see the lowest derivatives are asked first, and constraints last.
        """
        terms = sorted(self.terms.values(), key=lambda term: term.order if term.sees is None else term.sees)
        for term in sorted(terms, key=lambda term: isinstance(term, Constraint)):
            error = term.unseen(error)
        return error


class Constraint(Term):
    """A term on values at a few points, which pins what derivatives leave free: ``|f - s|^2``, summed over channels."""

    affine = True

    @abstractmethod
    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(N, D) coordinates of one step."""

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        return field.value - known.value


class Equation(Term):
    """A term that compares with no signal: its weight multiplies the residual as it stands.

    Attributes:
        cell: spacing of the grid that all points are, over which what jumps is to be averaged; 0 for it at the points.
    """

    cell: float = 0.0

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """Nothing, (N, 0), unless a subclass says otherwise."""
        return Jet(x[:, :0])

    def mean_square(self, signal: Signal) -> Tensor:
        """1, ()."""
        return torch.ones((), device=signal.extent.device)


class Group(NamedTuple):
    """Terms that are evaluated at the same points, from one jet of the field.

    Attributes:
        terms: by name.
        order: of the deepest of them.
        operators: of the second derivatives of all of them.
        size: consecutive points that are compared together, of which a batch holds whole groups; None: all points.
    """

    terms: Mapping[str, Term]
    order: int
    operators: Tensor | None
    size: int | None

    @property
    def first(self) -> Term:
        """The term whose points all of them take."""
        return next(iter(self.terms.values()))

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """What is known at x (N, D), deep enough for all of them."""
        return max(self.terms.values(), key=lambda term: term.order).known(signal, x)

    def only(self, names: Container[str]) -> Group:
        """Those of the terms that have one of the names, and no deeper than they need it."""
        terms = {name: term for name, term in self.terms.items() if name in names}
        return self._replace(terms=terms, order=max((term.order for term in terms.values()), default=0))


def _groups(terms: Mapping[str, Term]) -> list[Group]:
    """Terms that compare with the signal's jet where the data are drawn stand together; so do those of one place."""
    together: dict[Hashable, dict[str, Term]] = {}
    alone: list[dict[str, Term]] = []
    for name, term in terms.items():
        if type(term).points is Term.points and type(term).known is Term.known and term.group == 1:
            together.setdefault(id(term.operators), {})[name] = term
        elif term.place is not None:
            together.setdefault((term.place, term.group, id(term.operators)), {})[name] = term
        else:
            alone.append({name: term})
    return [
        Group(members, deepest.order, deepest.operators, deepest.group)
        for members in (*together.values(), *alone)
        for deepest in [max(members.values(), key=lambda term: term.order)]
    ]
