"""The residual of an equation in a weak norm: weighted by frequency, so that its derivatives count less than its size.

    |r|^2_{-2s} = sum_j |r_j|^2 / (k^2 + |w_j|^2)^{2s} k^{4s} / N      w_j = pi j / (2 E)

r_j are the coefficients of the orthonormal sine transform of the residual on a regular grid of N points inside the box,
E half of its sides; s = 0 is the plain mean square. An equation of second order makes of an error at frequency w a
residual of about w^2 as much: at s = 1 (the norm of H^-2) what is left is the error itself, where the plain residual
spends its effort on jumps of a medium and on the sharpest of a source. Source: Bochev & Gunzburger, Least-Squares
Finite Element Methods, 2009, ch. 2 (negative norms); the sine transform diagonalises -lap + k^2 with u = 0 around.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class Dual(Equation):
    """Another equation's residual on a regular grid, in the norm of H^-2s.

    Args:
        term: the equation.
        k: frequency above which the weight falls, in radians per unit of coordinate.
        weight: multiplies the term.
        nodes: of the grid along each axis, inside the box.
        exponent: s.
        modes: lowest frequencies along each axis that count; None for all.
    """

    group = None

    def __init__(
        self,
        term: Equation,
        k: float,
        weight: Weight = 1.0,
        nodes: int = 99,
        exponent: float = 1.0,
        modes: int | None = None,
    ) -> None:
        super().__init__(weight)
        require(isinstance(term, Equation), f"term of a weak norm must be an equation, not {term!r}")
        self.pointwise = self.term = term
        self.k, self.exponent = positive("k of a term", k), exponent
        require(term.group == 1, "term of a weak norm must have a residual at every point by itself")
        self.nodes = integer("nodes of a term", nodes, least=3)
        self.modes = integer("modes of a term", self.nodes if modes is None else modes, least=1, most=self.nodes)
        self.order, self.operators, self.affine = term.order, term.operators, term.affine

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(nodes^D, D), rows first."""
        unit = 2 * torch.arange(1, self.nodes + 1, dtype=torch.float64) / (self.nodes + 1) - 1
        grid = torch.stack(torch.meshgrid(*[unit] * signal.dims, indexing="ij"), dim=-1).flip(-1).flatten(0, -2)
        return (grid.to(signal.extent.device) * signal.extent.double()).to(signal.extent)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """What the equation knows there; what jumps is averaged over the spacing."""
        self.term.cell = 2 * float(signal.extent.max()) / (self.nodes + 1)
        return self.term.known(signal, x)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(1, modes^D R)."""
        return self.transform(self.term.residual(field, known, x), x)

    def transform(self, residual: Tensor, x: Tensor) -> Tensor:
        """(.., 1, modes^D R) from the residual (.., N, R) at the grid x (N, D), over the square root of N."""
        n, d = self.nodes, x.shape[1]
        j = torch.arange(1, self.modes + 1, dtype=torch.float64, device=x.device)
        sines = (j[:, None] * math.pi / (n + 1) * torch.arange(1, n + 1, device=x.device)).sin() * (2 / (n + 1)) ** 0.5
        extent = x[-1].double() * (n + 1) / (n - 1)
        frequencies = torch.meshgrid(*[(math.pi / 2 * j / half).square() for half in extent.flip(0)], indexing="ij")
        factor = (1 + sum(frequencies) / self.k**2) ** -self.exponent / n ** (d / 2)
        found = residual.movedim(-1, -2).unflatten(-1, (n,) * d)  # (.., R, n, .., n)
        for axis in range(-d, 0):
            found = (found.movedim(axis, -1) @ sines.mT.to(residual)).movedim(-1, axis)
        found = found * factor.to(residual)
        return found.flatten(-d).movedim(-1, -2).flatten(-2).unsqueeze(-2)
