"""Conditions on the border in space: ``a u + b . grad u = 0``, with a and b as the signal has them.

u = 0 on a fixed border, no slope across a free one, ``c u_n + u_t = 0`` on one that lets waves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals import solution
    from sinefield.signals.base import Signal


class Edge(Equation):
    """``a u + b . grad u`` at random points of the border.

    Args:
        weight: multiplies the term.
        count: points per step.
        outgoing: on absorbing borders too; False where the field lets waves out by itself.
    """

    order = 1
    affine = True

    def __init__(self, weight: Weight = 1.0, count: int = 512, outgoing: bool = True) -> None:
        super().__init__(weight)
        self.count, self.outgoing = integer("the count of a term", count, least=1), outgoing

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D)."""
        require(hasattr(signal, "edge"), "a term of the edge needs a signal with conditions there, such as signal=wave")
        return signal.border(self.count, generator)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(a, b), (N, 1 + D); 0 where nothing is asked."""
        problem = cast("solution.Solution", signal)
        found = torch.cat(problem.edge(x), dim=1)
        return Jet(torch.zeros_like(found) if problem.absorbing and not self.outgoing else found)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.gradient is not None
        a, b = known.value[..., :1], known.value[..., 1:]
        return a * field.value + (field.gradient * b.unsqueeze(-2)).sum(-1)
