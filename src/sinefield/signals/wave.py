"""A wave that spreads from a pulse: the wave equation in one or two dimensions of space.

    u_tt = c(x)^2 lap u      u(x, 0) = g(x) = exp(-|x - x0|^2 / (2 std^2))      u_t(x, 0) = -v . grad g

in [-1, 1]^d, whose borders absorb what reaches them, hold u = 0 (fixed) or let it slide (free). With |v| = c in one
dimension the pulse moves as it is. The truth is spectral where c is constant and the border absorbs, else by finite
differences (solvers/wave.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.encodings.modes import reach, speed
from sinefield.errors import integer, positive, require
from sinefield.signals import media
from sinefield.signals.solution import Evolving
from sinefield.solvers.wave import leapfrog, spectral

_FINE = 9  # points per std of the finite differences: some 0.2 % off after a second
_MOST = 2**22  # points of the grid of the solver: a minute or so


class Wave(Evolving):
    """The wave's field over space and time.

    Args:
        space: 1 or 2 dimensions.
        size: samples along each axis of space.
        frames: samples along time, the first at the start.
        duration: of the time, in seconds.
        extent: half of the time axis in units of coordinate; None for half of `duration`.
        std: of the pulse.
        centre: x0; as many of its numbers are used as space has axes.
        velocity: v; None for a pulse at rest.
        medium: c, see `sinefield.signals.media`.
        border: absorbing, fixed or free.

    Raises:
        UserError: a knob that is none.
    """

    centre: Tensor
    velocity: Tensor | None

    def __init__(
        self,
        space: int = 2,
        size: int = 48,
        frames: int = 21,
        duration: float = 1.0,
        extent: float | None = None,
        std: float = 0.05,
        centre: Sequence[float] = (-0.45, 0.09),
        velocity: Sequence[float] | None = None,
        medium: str = "uniform",
        border: str = "absorbing",
    ) -> None:
        space = integer("signal.space", space, least=1, most=2)
        kinds = ("absorbing", "fixed", "free")
        require(border in kinds, f"signal.border must be one of {', '.join(kinds)}, not {border!r}")
        for name, vector in (("centre", centre), ("velocity", velocity)):
            cure = f"signal.{name} must have {space} numbers, one per axis of space, not {vector!r}"
            require(vector is None or len(vector) >= space, cure)
        self.border_kind, self.std = border, positive("signal.std", std)
        size, frames = (integer(f"signal.{k}", n, least=4, most=4096) for k, n in (("size", size), ("frames", frames)))
        duration, made = positive("signal.duration", duration), media.medium(medium)
        extent = None if extent is None else positive("signal.extent", extent)
        start = np.array(centre[:space], dtype=float)
        push = None if velocity is None else np.array(velocity[:space], dtype=float)
        self.reach = reach(made, space, border, duration)
        samples = self._solved(space, size, frames, duration, start, push, made)
        super().__init__(samples, duration, extent, made.files)
        self.medium, self.absorbing = made, border == "absorbing"
        self.register_buffer("centre", torch.from_numpy(start).to(self.extent))
        self.register_buffer("velocity", None if push is None else torch.from_numpy(push).to(self.extent))

    def speed(self, x: Tensor) -> Tensor:
        """c (N, 1) at x (N, D), in units of space per unit of the time coordinate."""
        return speed(self.medium, x[:, : self.space]).unsqueeze(1) * self.pace

    def start(self, x: Tensor) -> Jet:
        """g (N, 1), and in the place of the gradient u_t (N, 1, 1) per unit of the time coordinate, at x (N, D)."""
        away = x[:, : self.space] - self.centre
        bell = (-away.square().sum(1, keepdim=True) / (2 * self.std**2)).exp()
        push = torch.zeros_like(away) if self.velocity is None else away * self.velocity.to(x)
        return Jet(bell, (bell * push.sum(1, keepdim=True) / self.std**2 * self.pace).unsqueeze(-1))

    def starting_points(self, spacing: float) -> Tensor:
        """(N, D): the middles of cells of `spacing` std over all of the box in which nothing comes back before the end.

        Waves of wavenumbers up to pi / (spacing std) are told apart there.
        """
        n = math.ceil(2 * self.reach / (spacing * self.std))
        along = ((torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 * self.reach - self.reach).to(self.extent)
        grid = torch.stack(torch.meshgrid(*[along] * self.space, indexing="xy"), -1).flatten(0, -2)
        return torch.cat([grid, -self.extent[-1].expand(len(grid), 1)], dim=1)

    def near_start(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, D) random points at the start: half of them in the box, and half around the pulse."""
        x = super().near_start(count, generator)
        some = torch.randn(count // 2, self.space, generator=generator, device=x.device, dtype=x.dtype)
        x[: count // 2, : self.space] = (self.centre + 2 * self.std * some).clamp(-1, 1)
        return x

    def edge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """a (N, 1) and b (N, D) of the condition ``a u + b . grad u = 0`` at x (N, D) on the border in space.

        u = 0 where it is fixed, u_n = 0 where it is free, and c u_n + u_t = 0 where it absorbs, which lets waves that
        meet it head-on pass (Engquist & Majda, Absorbing boundary conditions, 1977).
        """
        normal, none = self.normal(x), torch.zeros_like(x[:, :1])
        if self.border_kind == "fixed":
            return none + 1, torch.zeros_like(x)
        if self.border_kind == "free":
            return none, normal
        return none, normal * self.speed(x) / self.pace + torch.eye(self.dims).to(x)[-1] / self.pace

    def _solved(
        self,
        space: int,
        size: int,
        frames: int,
        duration: float,
        centre: np.ndarray,
        push: np.ndarray | None,
        medium: media.Medium,
    ) -> np.ndarray:
        """The truth at the samples, (frames, size, ..), rows first."""
        coarse = torch.from_numpy(np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * space), axis=-1))
        speeds = speed(medium, coarse)
        uniform = bool((speeds == speeds.max()).all())
        exact = uniform and self.border_kind == "absorbing"
        shortest = self.std * min(1.0, speeds.min().item())  # the length of the pulse where it is slowest
        part = math.ceil(min(2 / (size - 1) / shortest * (2 if exact else _FINE), _MOST))
        h = 2 / (size - 1) / part  # of the solver's grid, on which the samples lie
        beyond = math.ceil(min((self.reach - 1) / h, _MOST) - 1e-9)
        n = (size - 1) * part + 1 + 2 * beyond
        cure = "take a larger signal.std, or a shorter signal.duration"
        require(n**space <= _MOST, f"signal.std={self.std:g} needs {n:,} points or more along each axis; {cure}")
        along = (np.arange(n) - (n - 1) / 2) * h
        x = np.stack(np.meshgrid(*[along] * space, indexing="xy"), axis=-1)
        bell = np.exp(-((x - centre) ** 2).sum(-1) / (2 * self.std**2))
        drift = np.zeros_like(bell) if push is None else bell * ((x - centre) @ push) / self.std**2
        if exact:
            found = spectral(bell, drift, n * h / 2, speeds.max().item(), duration, frames)
        else:
            kind = "fixed" if self.border_kind == "fixed" else "free"
            found = leapfrog(bell, drift, _averaged(medium, x, h), h, duration, frames, kind)  # type: ignore[arg-type]
        keep = slice(beyond, n - beyond, part)
        return found[(slice(None), *[keep] * space)]


def _averaged(medium: media.Medium, x: np.ndarray, h: float, parts: int = 4) -> np.ndarray:
    """The root of 1 over the mean of 1/c^2 in the cells of width h around x (.., d), (..)."""
    offsets = ((np.arange(parts) + 0.5) / parts - 0.5) * h
    shifts = np.stack(np.meshgrid(*[offsets] * x.shape[-1], indexing="ij"), axis=-1).reshape(-1, x.shape[-1])
    total = sum(speed(medium, torch.from_numpy(x + shift)).numpy() ** -2 for shift in shifts)
    return np.asarray(total / len(shifts)) ** -0.5
