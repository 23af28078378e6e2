"""Poisson's equation in the square: ``-lap u = f``, u = 0 on the border, f a sum of Gaussian charges.

The truth is by sine transforms (solvers/sines.py). f is scaled so that the largest value of u at the samples is 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.errors import integer, positive, require
from sinefield.signals.solution import Solution, refinement
from sinefield.solvers.sines import poisson

_FINE = 6  # points of the solver's grid per standard deviation


class Poisson(Solution):
    """u on [-1, 1]^2.

    Args:
        size: samples along each side.
        charges: (amplitude, [x, y] of the centre, standard deviation), each.

    Raises:
        UserError: there is no charge, or one is no such triple.
    """

    table: Tensor

    def __init__(
        self,
        size: int = 64,
        charges: Sequence[tuple[float, Sequence[float], float]] = (
            (1.0, (-0.4, -0.3), 0.15),
            (-1.5, (0.35, 0.2), 0.1),
            (0.7, (0.1, -0.5), 0.08),
        ),
    ) -> None:
        size = integer("signal.size", size, least=4, most=4096)
        require(len(charges) > 0, "signal.charges: give one at least, [amplitude, [x, y], standard deviation]")
        rows = [(float(a), *map(float, at), positive("a charge's deviation", std)) for a, at, std in charges]
        require(all(len(row) == 4 for row in rows), "signal.charges: give [amplitude, [x, y], standard deviation]")
        part = refinement(size, 2, min(row[-1] for row in rows), _FINE, "a charge's deviation")
        along = np.linspace(-1, 1, (size - 1) * part + 1)
        x = np.stack(np.meshgrid(along, along, indexing="xy"), axis=-1)
        found = poisson(_gaussians(torch.tensor(rows, dtype=torch.float64), torch.from_numpy(x)).numpy(), 1.0)
        samples = found[::part, ::part]
        largest = float(np.abs(samples).max())
        require(largest > 0, f"signal.charges: there is no potential inside the square; give other than {charges!r}")
        super().__init__(samples / largest)
        self.register_buffer("table", torch.tensor([(a / largest, *rest) for a, *rest in rows]).to(self.extent))

    def source(self, x: Tensor) -> Tensor:
        """f (N, 1) at x (N, 2)."""
        return _gaussians(self.table.to(x), x).unsqueeze(1)


def _gaussians(table: Tensor, x: Tensor) -> Tensor:
    """The sum (..) of Gaussians (amplitude, x, y, deviation) at x (.., 2)."""
    amplitude, *centre, std = table.unbind(1)
    away = x.unsqueeze(-2) - torch.stack(centre, dim=1)
    return (amplitude * (-away.square().sum(-1) / (2 * std**2)).exp()).sum(-1)
