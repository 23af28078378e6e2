"""Weak forms of derivative data: integrals over distances from a pixel to the picture, where low frequencies count.

    line integral    s(y) - s(x)                = int_0^1 grad s(x + t (y - x)) . (y - x) dt
    Green on a disc  mean s over |y - x| = r    = s(x) + int_0^r 1/(2 pi q) int_{|y - x| < q} lap s dA dq

Both left sides are functionals of the derivatives alone, and a signal that knows its values gives them exactly. The
second is the mean over all directions of the first, so a gradient that is no picture's gives both too. Source: the
gradient theorem; Evans, Partial Differential Equations, sec. 2.2.2 (mean-value formulas).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.errors import whole
from sinefield.jet import Jet
from sinefield.losses.base import Loss, relative

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class Differences(Loss):
    """``weight E|[f(y) - f(x)] - [s(y) - s(x)]|^2 / 2 E|s|^2`` over pairs at log-uniform distances: the gradient's.

    Args:
        weight: multiplies the term.
        count: pairs per step.
    """

    order = 0
    placed = True
    group: int = 2

    def __init__(self, weight: float = 1.0, count: int = 2048) -> None:
        super().__init__(weight)
        self.count = whole("loss.weak.count", count, least=1)

    def points(self, signal: Signal, generator: torch.Generator) -> Tensor:
        """(2 count, D): x and y in turn, x uniform in the box, y at a distance from one spacing to half the box."""
        x, box = signal.uniform(self.count, generator), signal.extent
        reach = _log_uniform(self.count, signal.spacing / float(box.max()), 1.0, box, generator)
        step = reach * signal.uniform(self.count, generator)
        step = torch.where((x + step).abs() > box, -step, step)  # at most half the box: the other way is inside
        return torch.stack([x, x + step], dim=1).flatten(0, 1)

    def target(self, signal: Signal, x: Tensor) -> Jet:
        """(2 count, C): 0 at each x, the integral of the gradient from x to y at each y."""
        return _from_first(signal, x, self.group)

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"differences": ()}."""
        apart = [part.value[1::2] - part.value[::2] for part in (field, signal)]
        return {"differences": self.weight / 2 * relative(apart[0], apart[1], power.value)}


class Circles(Loss):
    """``weight E|[m_r f - f](x) - [m_r s - s](x)|^2 / E|s|^2``, m_r the mean over a circle: the Laplacian's.

    The mean is taken over `corners` equidistant points, turned at random: exact for harmonic polynomials of degree up
    to corners - 1, so that what the Laplacian leaves free is left free here too. Two dimensions.

    Args:
        weight: multiplies the term.
        count: circles per step: log-uniform radii from half a spacing up to the nearest border.
        corners: points per circle.
    """

    order = 0
    placed = True
    group: int

    def __init__(self, weight: float = 1.0, count: int = 1024, corners: int = 8) -> None:
        super().__init__(weight)
        self.count = whole("loss.weak.count", count, least=1)
        self.corners = whole("loss.weak.corners", corners, least=3)
        self.group = self.corners + 1

    def points(self, signal: Signal, generator: torch.Generator) -> Tensor:
        """(count (1 + corners), 2): each centre and its circle in turn."""
        x, box = signal.uniform(self.count, generator), signal.extent
        least, most = signal.spacing / 2, float(box.min())
        # Every second centre at a log-uniform distance from a random side: circles of all sizes touch the border, or
        # the field would meet the border values by a jump within the last spacing and drift inside (measured).
        near = x[::2]
        axis = torch.randint(signal.dims, (len(near), 1), generator=generator, device=box.device)
        distance = _log_uniform(len(near), least, most, box, generator)
        x[::2] = near.scatter(1, axis, near.gather(1, axis).sign() * (box[axis] - distance))
        room = (box - x.abs()).amin(dim=1, keepdim=True)
        radius = _log_uniform(self.count, least, most, box, generator).minimum(room)
        turn = torch.rand(self.count, 1, generator=generator, device=box.device, dtype=box.dtype)
        angle = 2 * math.pi * (turn + torch.arange(self.corners, device=box.device) / self.corners)
        ring = x[:, None] + radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
        return torch.cat([x[:, None], ring], dim=1).flatten(0, 1)

    def target(self, signal: Signal, x: Tensor) -> Jet:
        """(count (1 + corners), C): 0 at each centre, the integral of the gradient from it at each point around."""
        return _from_first(signal, x, self.group)

    def __call__(self, field: Jet, signal: Jet, power: Jet) -> dict[str, Tensor]:
        """{"circles": ()}."""
        bulge = []
        for part in (field, signal):
            circles = part.value.unflatten(0, (-1, self.group))
            bulge.append(circles[:, 1:].mean(dim=1) - circles[:, 0])
        return {"circles": self.weight * relative(bulge[0], bulge[1], power.value)}


def _from_first(signal: Signal, x: Tensor, group: int) -> Jet:
    """Values relative to the first point of each group of points: all that derivatives can say of them."""
    groups = x.unflatten(0, (-1, group))
    start = groups[:, :1].expand(-1, group - 1, -1)
    integral = signal.integral(start.flatten(0, 1), groups[:, 1:].flatten(0, 1)).unflatten(0, (-1, group - 1))
    return Jet(torch.nn.functional.pad(integral, (0, 0, 1, 0)).flatten(0, 1))


def _log_uniform(count: int, least: float, most: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """(count, 1) lengths whose logarithm is uniform between those of `least` and `most`."""
    unit = torch.rand(count, 1, generator=generator, device=like.device, dtype=like.dtype)
    return least * (most / least) ** unit
