"""Heat in a rod: ``u_t = a u_xx`` on [-1, 1], whose ends are held at 0, from a Gaussian.

The truth is by sine transforms (solvers/sines.py); far from the ends it is the Gaussian
``std / s exp(-(x - x0)^2 / (2 s^2))``, s^2 = std^2 + 2 a t.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.signals.solution import Evolving, refinement
from sinefield.solvers.sines import heat

_FINE = 6  # points of the solver's grid per standard deviation


class Heat(Evolving):
    """u over place and time.

    Args:
        size: samples along the rod.
        frames: samples along time.
        duration: of the time, in seconds.
        extent: half of the time axis in units of coordinate; None for half of `duration`.
        diffusivity: a, in units of coordinate^2 per second.
        std, centre: of the Gaussian.
    """

    def __init__(
        self,
        size: int = 96,
        frames: int = 64,
        duration: float = 1.0,
        extent: float | None = None,
        diffusivity: float = 0.1,
        std: float = 0.1,
        centre: float = -0.3,
    ) -> None:
        size, frames = (integer(f"signal.{k}", n, least=4, most=4096) for k, n in (("size", size), ("frames", frames)))
        duration, self.std = positive("signal.duration", duration), positive("signal.std", std)
        extent = None if extent is None else positive("signal.extent", extent)
        self.diffusivity, self.centre = positive("signal.diffusivity", diffusivity), float(centre)
        require(abs(self.centre) < 1, f"signal.centre must be between -1 and 1, the ends of the rod, not {centre!r}")
        part = refinement(size, 1, self.std, _FINE, "signal.std")
        x = np.linspace(-1, 1, (size - 1) * part + 1)
        start = np.exp(-((x - self.centre) ** 2) / (2 * std**2))
        super().__init__(heat(start, 1.0, self.diffusivity, duration, frames)[:, ::part], duration, extent)

    def start(self, x: Tensor) -> Jet:
        """u (N, 1) at the start; and u_t there, which the equation says."""
        away = (x[:, :1] - self.centre) / self.std
        bell = (-away.square() / 2).exp()
        curvature = bell * (away.square() - 1) / self.std**2
        return Jet(bell, (curvature * self.diffusivity * self.pace).unsqueeze(-1))

    def starting_points(self, spacing: float) -> Tensor:
        """(N, 2): all the rod, `spacing` / 4 of the Gaussian's deviation apart."""
        along = torch.linspace(-1, 1, math.ceil(8 / (spacing * self.std))).to(self.extent)
        return torch.stack([along, -self.extent[-1].expand_as(along)], dim=1)
