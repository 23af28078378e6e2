"""A medium inside a circle of sources and receivers, at some frequencies: the paper's full-waveform inversion, small.

The model's grid is the physical part |x|, |y| <= 1/2 of the Helmholtz equation's box, drawn to [-1, 1]^2. The data are
simulated on a grid twice as fine as the one they are inverted on, so that the solver's own error is not known to it.
Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2 and supplement 5: 5 sources, 30 receivers, k = 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.errors import integer, positive, require
from sinefield.signals.measured import Measured
from sinefield.signals.media import Medium, medium
from sinefield.solvers import helmholtz
from sinefield.solvers.propagator import Propagator
from sinefield.solvers.scattering import Scattering


class Inversion(Measured):
    """m = 1 / c^2 from data of the Helmholtz equation.

    Args:
        propagator: makes the data; None for the default `Scattering`.
        medium: the true one, by name or file; see `sinefield.signals.media`.
        start: the one to start from, alike.
        size: nodes along each side of the physical part; of an even number one less.
        sources, receivers: how many, evenly around the circle; no receiver at a source where their numbers divide.
        radius: of the circle, where the physical part reaches to 1/2.
        scale, bounds, noise: as of `Measured`.

    Raises:
        UserError: a number is out of its range, or a medium cannot be read.
    """

    def __init__(
        self,
        propagator: Propagator | None = None,
        medium: str | Path = "square",
        start: str | Path = "uniform",
        size: int = 51,
        sources: int = 5,
        receivers: int = 30,
        radius: float = 0.46,
        scale: float = 0.75,
        bounds: Sequence[float] = (0.05, 4.0),
        noise: float = 0.01,
    ) -> None:
        size = integer("signal.size", size, least=5, most=513)  # the data's finer grid has 2,049 along a side
        size -= 1 - size % 2
        radius = positive("signal.radius", radius)
        require(radius <= 0.5, f"signal.radius must be at most 0.5, the physical part's half side, not {radius}")
        self._medium = _media(medium)
        at_start = _media(start)
        models = [_on_nodes(each, size) for each in (self._medium, at_start)]
        around = [
            _circle(integer(f"signal.{name}", count, least=1), shift, radius, size)
            for name, count, shift in (("sources", sources, 0.0), ("receivers", receivers, 0.5))
        ]
        super().__init__(
            (models[0], models[1]),
            scale,
            bounds,
            Scattering() if propagator is None else propagator,
            (around[0], around[1]),
            noise,
        )
        self.files = self._medium.files + at_start.files

    def measure(self) -> Tensor:
        """(S, 2 K, R), on a grid twice as fine."""
        fine = torch.from_numpy(_on_nodes(self._medium, 2 * len(self.truth) - 1))
        return self.propagator(fine, 2 * self.sources, 2 * self.receivers)


def _media(name: str | Path) -> Medium:
    return medium(name)


def _on_nodes(function: Medium, size: int) -> np.ndarray:
    """(size, size), averaged over the cells of the physical part's nodes."""
    layer = size // 2
    return helmholtz.averaged(function, size + 2 * layer)[layer:-layer, layer:-layer]


def _circle(count: int, shift: float, radius: float, size: int) -> Tensor:
    """(count, 2), the nodes nearest to a circle's evenly spaced points, (row, column), from the left."""
    angle = (torch.arange(count, dtype=torch.float64) + shift) * (2 * torch.pi / count) + torch.pi
    points = radius * torch.stack([angle.sin(), angle.cos()], dim=-1)
    return ((points + 0.5) * (size - 1)).round().long()
