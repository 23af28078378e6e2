"""A weighted sum of losses at the same points: the Sobolev loss, and any other mixture, written in YAML."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sinefield.errors import require
from sinefield.jet import Jet
from sinefield.losses.base import Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value


class Sobolev(Loss):
    """The sum of the given losses: with value, gradient and Laplacian a relative Sobolev norm of the error.

        sum_k weight_k E|d^k f - d^k s|^2 / E|d^k s|^2

    Source: Czarnecki et al., Sobolev Training for Neural Networks, arXiv 1706.04859.

    Args:
        weight: multiplies every term, but not the terms' weak forms and anchors, which are parts of their own.
        terms: losses by name; a term given as None is left out. Value, gradient and Laplacian where none is given.
    """

    def __init__(self, weight: float = 1.0, **terms: Loss | None) -> None:
        super().__init__(weight)
        given = terms or {"value": Value(), "gradient": Gradient(0.1), "laplacian": Laplacian(0.01)}
        self.terms = [term for term in given.values() if term is not None]
        require(bool(self.terms), "loss: every term of the sum is switched off; keep at least one")
        kind = "a loss, as in conf/loss/sobolev.yaml, or null"
        cure = "make it the weak or anchor of another term, as +loss/anchor@loss.gradient.anchor=mean does"
        for term in self.terms:
            name = type(term).__name__
            require(isinstance(term, Loss), f"loss: a term must be {kind}, not {term!r}")
            require(not term.placed, f"loss: {name} has points of its own; {cure}")
        self.order = max(term.order for term in self.terms)

    @property
    def parts(self) -> Sequence[Loss]:
        """This sum, and the weak forms and anchors of its terms."""
        return [self, *(part for term in self.terms for part in term.parts[1:])]

    def freedom(self, error: Tensor) -> Tensor:
        """What none of the terms can see, (H, W, C): constants are harmonic, so the lowest order is asked first."""
        for term in sorted(self.terms, key=lambda term: term.order):
            error = term.freedom(error)
        return error

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """The terms of all losses, (); losses of one name are added."""
        total: dict[str, Tensor] = {}
        for term in self.terms:
            for name, value in term(field, signal, power).items():
                total[name] = total.get(name, 0) + self.weight * value
        return total
