"""Weak forms of derivative data: integrals over distances from a pixel to the picture, where low frequencies count.

    line integral    s(y) - s(x)                = int_0^1 grad s(x + t (y - x)) . (y - x) dt
    Green on a disc  mean s over |y - x| = r    = s(x) + int_0^r 1/(2 pi q) int_{|y - x| < q} lap s dA dq

Both left sides are functionals of the derivatives alone, and a signal that knows its values gives them exactly. The
second is the mean over all directions of the first, so a gradient that is no picture's gives both too. Source: the
gradient theorem; Evans, Partial Differential Equations, sec. 2.2.2 (mean-value formulas).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sinefield.core.jet import Jet
from sinefield.core.lattice import neighbours
from sinefield.errors import integer
from sinefield.losses.base import Term
from sinefield.losses.laplacian import harmonic
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class _Weak(Term):
    """A term on functionals of the derivatives alone, which sees what they see, at distances.

    Args:
        weight: multiplies the term.
        count: groups of points per step: pairs, or centres with the points around them; None for the class's own.
    """

    group: int
    count: int
    affine = True

    def __init__(self, weight: Weight = 1.0, count: int | None = None) -> None:
        super().__init__(weight)
        self.count = integer("the count of a term", self.count if count is None else count, least=1)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(N, C) values relative to the first point of each group of points: all that derivatives can say of them."""
        groups = x.unflatten(0, (-1, self.group))
        start = groups[:, :1].expand(-1, self.group - 1, -1)
        integral = signal.integral(start.flatten(0, 1), groups[:, 1:].flatten(0, 1))
        return Jet(nn.functional.pad(integral.unflatten(0, (-1, self.group - 1)), (0, 0, 1, 0)).flatten(0, 1))


class Differences(_Weak):
    """``E|[f(y) - f(x)] - [s(y) - s(x)]|^2 / 2 E|s|^2`` over pairs at distances of all scales: the gradient's."""

    group, sees, count = 2, 1, 2048

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(2 count, D): x and y in turn, x where the signal draws its points, y - x in every direction.

        y - x is uniform in the box, made smaller by a factor that is log-uniform from one spacing to half the box.
        """
        points, box = signal.uniform(self.count, generator), signal.extent
        x = points[:, : signal.dims]
        reach = _log_uniform(self.count, signal.spacing / float(box.max()), 1.0, box, generator)
        unit = torch.rand(x.shape, generator=generator, device=box.device, dtype=box.dtype)
        step = reach * ((2 * unit - 1) * box)  # not by the signal, which may draw from a part of the box alone
        step = torch.where((x + step).abs() > box, -step, step)  # at most half the box: the other way is inside
        return torch.stack([points, nn.functional.pad(step, (0, signal.conditions)) + points], dim=1).flatten(0, 1)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(count, C)."""
        error = (field.value - known.value).unflatten(-2, (-1, 2))
        return (error[..., 1, :] - error[..., 0, :]) / math.sqrt(2)

    def unseen(self, error: Tensor) -> Tensor:
        """The mean error of each channel, (H, W, C), or (D, H, W, C)."""
        return error.flatten(0, -2).mean(dim=0).expand_as(error)


class _Means(_Weak):
    """``E|[m f - f](x) - [m s - s](x)|^2 / E|s|^2``, m a mean around x that harmonic functions pass unchanged.

    The reach of each mean is log-uniform, from half a spacing to the nearest border. In three dimensions each is over a
    sphere: the eight corners of a cube, turned at random, exact for harmonic polynomials to degree 3.
    """

    group, sees, count = 9, 2, 1024  # the centre, and eight points around it
    farthest: float  # of them from it, for a reach of 1

    @abstractmethod
    def around(self, box: Tensor, generator: torch.Generator) -> Tensor:
        """(count, 8, 2): points of the plane around 0, for a reach of 1."""

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(9 count, D): each centre and the points around it in turn."""
        points, box = signal.uniform(self.count, generator), signal.extent
        x = points[:, : signal.dims]
        least, most = signal.spacing / 2, float(box.min())
        # Every second centre at a log-uniform distance from a random side: means of all sizes touch the border, or
        # the field would meet the border values by a jump within the last spacing and drift inside (measured).
        near = x[::2]
        axis = torch.randint(signal.dims, (len(near), 1), generator=generator, device=box.device)
        distance = _log_uniform(len(near), least, most, box, generator)
        x[::2] = near.scatter(1, axis, near.gather(1, axis).sign() * (box[axis] - distance))
        reach = _log_uniform(self.count, least, most, box, generator)
        solid = signal.dims == 3
        reach = reach.minimum(signal.distance_to_border(x, 1.0 if solid else self.farthest))
        around = _cubes(self.count, box, generator) if solid else self.around(box, generator)
        ring = x[:, None] + reach[:, None] * around
        which = points[:, None, signal.dims :].expand(-1, self.group, -1)
        return torch.cat([torch.cat([x[:, None], ring], dim=1), which], dim=-1).flatten(0, 1)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(count, C)."""
        error = (field.value - known.value).unflatten(-2, (-1, self.group))
        return error[..., 1:, :].mean(-2) - error[..., 0, :]

    def unseen(self, error: Tensor) -> Tensor:
        """The harmonic function with the error's border values, (H, W, C)."""
        return harmonic(error)


class Circles(_Means):
    """Means over circles: eight equidistant points, turned at random; exact for harmonic polynomials to degree 7.

    As the mean over all directions of line integrals it is a weak form of a gradient that is no picture's, too.
    """

    farthest = 1.0

    def around(self, box: Tensor, generator: torch.Generator) -> Tensor:
        """(count, 8, 2): the corners of a regular octagon on the unit circle."""
        turn = torch.rand(self.count, 1, generator=generator, device=box.device, dtype=box.dtype)
        angle = 2 * math.pi * (turn + torch.arange(8, device=box.device) / 8)
        return torch.stack([angle.cos(), angle.sin()], dim=-1)


class Squares(_Means):
    """Means over the sides of squares, by the harmonic measure of their centre.

        u(0) = sum over sides of int_{-1}^1 u k(t) dt
        k(t) = sum_{n odd} sin(n pi / 2) sin(n pi (t + 1) / 2) / (2 cosh(n pi / 2))

    for u harmonic in [-1, 1]^2. Eight points (+-1, +-t), (+-t, +-1) with t drawn from k: exact for harmonic polynomials
    to degree 3, and for all on average. A square lies on the border with a whole side, where a circle touches it in one
    point: that ties the inside to the border values. Source: separation of variables for the Dirichlet problem.
    """

    farthest = math.sqrt(2)

    def around(self, box: Tensor, generator: torch.Generator) -> Tensor:
        """(count, 8, 2): a point on each half side, in mirror symmetry."""
        levels = torch.linspace(0, 1, 257, dtype=box.dtype, device=box.device)
        n = torch.arange(1, 12, 2, dtype=box.dtype, device=box.device)
        waves = (n * math.pi / 2).sin() * (n * math.pi / 2 * (levels[:, None] + 1)).sin() / (n * math.pi / 2).cosh()
        measure = nn.functional.pad(torch.cumulative_trapezoid(waves.sum(1), levels), (1, 0))
        unit = torch.rand(self.count, generator=generator, device=box.device, dtype=box.dtype) * measure[-1]
        above = torch.searchsorted(measure, unit).clamp(1, len(levels) - 1)
        part = (unit - measure[above - 1]) / (measure[above] - measure[above - 1])
        t = levels[above - 1] + part * (levels[above] - levels[above - 1])
        one = torch.ones_like(t)
        half = [torch.stack(pair, dim=-1) for pair in ((one, t), (one, -t), (t, one), (-t, one))]
        return torch.stack([*half, *(-point for point in half)], dim=1)


def _cubes(count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """(count, 8, 3): corners of cubes in the unit sphere, turned evenly at random.

    A quaternion q of four normal numbers over its length is a turn drawn evenly. Source: Shoemake, Uniform random
    rotations (1992).
    """
    drawn = torch.randn(count, 4, generator=generator, device=like.device, dtype=like.dtype)
    w, x, y, z = (drawn / drawn.norm(dim=1, keepdim=True)).unbind(1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    turns = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)
    corners = 2 * neighbours(2, 3, like.device).to(like) - 1
    return corners @ turns.mT / math.sqrt(3)


def _log_uniform(count: int, least: float, most: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """(count, 1) lengths whose logarithm is uniform between those of `least` and `most`."""
    unit = torch.rand(count, 1, generator=generator, device=like.device, dtype=like.dtype)
    return least * (most / least) ** unit
