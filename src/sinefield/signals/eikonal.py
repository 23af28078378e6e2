"""First arrivals of a wave from a point: ``|grad tau| = 1 / c(x)``, tau(x0) = 0, in the square.

The field is the mean slowness f of ``tau = |x - x0| f``, which is smooth at the source, where tau is not. The truth is
by fast sweeping (solvers/eikonal.py). Scored and drawn is tau.

Source: Fomel, Luo & Zhao, Fast sweeping method for the factored eikonal equation, J. Comput. Phys. 228 (2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.encodings.modes import speed
from sinefield.errors import integer, require
from sinefield.signals import media
from sinefield.signals.solution import Solution
from sinefield.solvers.eikonal import first_arrivals

_FINEST = 600  # points along a side of the solver's grid, at least: 0.4 % off in the square of c = 2


class Eikonal(Solution):
    """f on [-1, 1]^2.

    Args:
        size: samples along each side.
        source: x0, in the box.
        medium: c, see `sinefield.signals.media`.

    Raises:
        UserError: the source lies outside.
    """

    place: Tensor

    def __init__(self, size: int = 64, source: Sequence[float] = (-0.45, 0.09), medium: str = "square") -> None:
        size, made = integer("signal.size", size, least=4, most=4096), media.medium(medium)
        inside = len(source) == 2 and max(map(abs, source)) < 1
        require(inside, f"signal.source must be two numbers between -1 and 1, not {source!r}")
        part = math.ceil(_FINEST / (size - 1))
        along = np.linspace(-1, 1, (size - 1) * part + 1)
        x = np.stack(np.meshgrid(along, along, indexing="xy"), axis=-1)
        c, h = speed(made, torch.from_numpy(x)).numpy(), along[1] - along[0]
        tau = first_arrivals(c, h, ((source[0] + 1) / h, (source[1] + 1) / h))[::part, ::part]
        away = np.hypot(*(x - np.array(source)).transpose(2, 0, 1))[::part, ::part]
        at = speed(made, torch.tensor(source, dtype=torch.float64)[None]).item()
        super().__init__(np.where(away > 1e-9, tau / np.maximum(away, 1e-9), 1 / at), files=made.files)
        self.medium = made
        self.register_buffer("place", torch.tensor(source).to(self.extent))

    def speed(self, x: Tensor) -> Tensor:
        """c (N, 1) at x (N, 2)."""
        return speed(self.medium, x).unsqueeze(1)

    def distance(self, x: Tensor) -> Jet:
        """|x - x0| (N, 1) and its gradient (N, 1, 2) at x (N, 2)."""
        away = x - self.place.to(x)
        length = away.norm(dim=1, keepdim=True)
        return Jet(length, (away / length.clamp(min=torch.finfo(x.dtype).tiny)).unsqueeze(1))

    def shown(self, x: Tensor, values: Tensor) -> Tensor:
        """tau (N, 1), of f (N, 1)."""
        return values * self.distance(x).value
