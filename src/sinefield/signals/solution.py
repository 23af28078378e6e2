"""The solution of a boundary-value problem, as a classical solver has it: what a field is scored against.

A field never sees it: the terms of an equation ask the problem for its coefficients, sources and initial values, which
each subclass answers. The solution's jet is the spline through its samples.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.signals import spline
from sinefield.signals.base import Axis, Signal

_DEGREE = 3
_MOST = 2**24  # points of a classical solver's grid: a minute or so


class Solution(Signal):
    """A solution known at the samples of a regular grid, one channel.

    Args:
        samples: rows first, time, where it is an axis, before them: (T, H, W), (T, W), (H, W) or (W,).
        axes: of the coordinates, in their order; None for space alone.
        files: what the problem was read from.

    Attributes:
        time: whether the last coordinate is time.
        absorbing: whether the border lets waves out.
    """

    c: Tensor
    absorbing: bool = False

    @abstractmethod
    def __init__(self, samples: np.ndarray, axes: Sequence[Axis] | None = None, files: Sequence[str] = ()) -> None:
        super().__init__(samples.shape, 1, axes)
        self.files = tuple(files)
        self.time = self.axes[-1].name == "t"
        require(
            bool(np.isfinite(samples).all()), "the classical solution is not finite; take a finer or shorter problem"
        )
        self.register_buffer("c", torch.from_numpy(spline.coefficients(samples[..., None], _DEGREE)).to(self.extent))

    @property
    def space(self) -> int:
        """The number of axes of space."""
        return self.dims - self.time

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, 1), gradient (N, 1, D) and sum of second derivatives (N, 1, 1), as deep as `order` asks."""
        return spline.evaluate(self.c, self.pixels(x), _DEGREE, order, self.spacings)

    def border(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, D) coordinates on random sides of the box in space, at any time."""
        x = self.uniform(count, generator)
        axis = torch.randint(self.space, (count, 1), generator=generator, device=x.device)
        at = x.gather(1, axis)
        ends = torch.where(at < 0, -1.0, 1.0) * self.extent[axis]
        return x.scatter(1, axis, ends)

    def normal(self, x: Tensor) -> Tensor:
        """(N, D), the outward normal of the side of the box in space that each x (N, D) is nearest to."""
        away = (x[:, : self.space].abs() / self.extent[: self.space]).argmax(dim=1, keepdim=True)
        return torch.zeros_like(x).scatter(1, away, x.gather(1, away).sign())

    def edge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """a (N, 1) and b (N, D) of ``a u + b . grad u = 0`` at x (N, D) on the border in space: u = 0 here."""
        return torch.ones_like(x[:, :1]), torch.zeros_like(x)

    def shown(self, x: Tensor, values: Tensor) -> Tensor:
        """What is scored and drawn of a field's values (N, C) at x (N, D): they themselves, unless said otherwise."""
        return values


class Evolving(Solution):
    """A solution over space and time, which starts from known values.

    Args:
        samples, files: as of `Solution`, the first along time at its start.
        duration: of the time axis, in seconds.
        extent: half of it in units of coordinate; None for half of `duration`: a second is a unit.

    Attributes:
        pace: seconds per unit of coordinate.
    """

    def __init__(
        self, samples: np.ndarray, duration: float, extent: float | None = None, files: Sequence[str] = ()
    ) -> None:
        half = duration / 2 if extent is None else extent
        self.pace = duration / (2 * half)
        space = tuple(Axis(name) for name in "xyz"[: samples.ndim - 1])
        super().__init__(samples, (*space, Axis("t", "s", extent=half, length=duration)), files)

    @abstractmethod
    def start(self, x: Tensor) -> Jet:
        """u (N, 1) at the start, and in the place of the gradient u_t (N, 1, 1) per unit of coordinate, at x (N, D)."""

    @abstractmethod
    def starting_points(self, spacing: float) -> Tensor:
        """(N, D), a regular grid at the start over all that can reach the box; `spacing` over the start's length."""

    def near_start(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, D) random points at the start: of the box."""
        x = self.uniform(count, generator)
        return torch.cat([x[:, :-1], -self.extent[-1].expand(count, 1)], dim=1)

    def until(self, count: int, part: float, generator: torch.Generator) -> Tensor:
        """(count, D) random points of the box, in the first `part` of the time."""
        x = self.uniform(count, generator)
        late = (x[:, -1:] + self.extent[-1]) * part - self.extent[-1]
        return torch.cat([x[:, :-1], late], dim=1)


def refinement(size: int, dims: int, length: float, points: int, knob: str) -> int:
    """How many cells of a solver's grid a cell of `size` samples along each axis takes, so that a length has `points`.

    Args:
        size, dims: samples along each axis of [-1, 1]^dims.
        length: the shortest of what is to be resolved, in units of coordinate.
        points: of the solver's grid, at least, along that length.
        knob: where the length is set.

    Raises:
        UserError: it is so short that the grid has too many points.
    """
    part = max(1, math.ceil(min(2 / (size - 1) * points / length, 1e9)))
    n = (size - 1) * part + 1
    require(
        n**dims <= _MOST,
        f"{knob}={length:g} and signal.size={size:,} need a grid of {n:,} points along each axis, and {_MOST:,} in all "
        f"are the most; take a larger one, or a smaller signal.size",
    )
    return part
