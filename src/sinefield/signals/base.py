"""What every signal answers: its jet at any coordinate, its samples, and the truth between them where there is one.

Coordinates are (x, y): x to the right along the columns, y down along the rows. Samples lie at pixel centres with the
same spacing ``h = 2 / (n - 1)`` on all axes of space, n samples along the longest side, which spans [-1, 1]; the
shorter sides are centred on 0. An axis that is no space, such as time, has an extent of its own. Values lie in [-1, 1].
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sinefield.core.jet import BLOCK, Jet, joined

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP

_ROUNDING = 16  # units of the last place of 1 that a value of 0 may be off, after decoding, resizing and a spline


@dataclass(frozen=True)
class Axis:
    """One coordinate: its name, and the unit of what it stands for, such as s; "" for none.

    Attributes:
        extent: half its length in units of coordinate; None for an axis of space, which shares its spacing with others.
        length: what it stands for in all, in `unit`; None where that is not known.
    """

    name: str
    unit: str = ""
    extent: float | None = None
    length: float | None = None


SPACE = tuple(Axis(name) for name in "xyzw")


class Signal(nn.Module, ABC):
    """A function on a box, known at the samples of a regular grid and answering at any coordinate.

    Args:
        shape: samples per axis, rows first: (H, W) for a picture; D = len(shape).
        channels: C.
        axes: of the coordinates, in their order, which is the reverse of that of `shape`; None for space.

    Attributes:
        spacings, spacing: distance of the samples along each axis, in units of coordinate, and the shortest of them.
        side: samples along a length of 2, which the longest side of the space has: of the finest axis but time.
        extent: (D,), half the box along (x, y): the outermost samples lie at -extent and +extent.
        fine: the truth between the samples, see `held_out_grid`.
        smooth: whether the gradient is continuous.
        potential: whether gradient and Laplacian are those of the values; False where they come from elsewhere.
        prior: whether what its jet has between the samples was learnt from other pictures.
        every: 1 where all points are scored and drawn, an odd n where only every n-th along each axis is: a signal of
            very many samples. All of them are trained on.
        conditions: columns of x behind the D coordinates, which say of which of many pictures a point is; x is then
            (N, D + conditions), and derivatives are by the D coordinates alone. 0 for one signal.
        count: pictures, or other signals of one kind, that the points may be of.
        effort: optimizer steps that it takes, relative to a grey picture of 256 x 256 samples, neither smooth nor busy.
        files: the files and folders that it was read from, as they were given.
    """

    smooth: bool = True
    potential: bool = True
    prior: bool = False
    every: int = 1
    conditions: int = 0
    count: int = 1
    effort: float = 1.0
    files: tuple[str, ...] = ()
    extent: Tensor
    fine: Tensor | None

    def __init__(self, shape: tuple[int, ...], channels: int, axes: Sequence[Axis] | None = None) -> None:
        super().__init__()
        self.shape, self.channels, self.dims = shape, channels, len(shape)
        self.axes = tuple(SPACE[: self.dims] if axes is None else axes)
        sized = list(zip(reversed(shape), self.axes, strict=True))
        longest = max((n for n, axis in sized if axis.extent is None), default=2)
        self.spacings = tuple(2 * (axis.extent or 0) / (n - 1) or 2 / (longest - 1) for n, axis in sized)
        self.spacing = min(self.spacings)
        space = [h for h, axis in zip(self.spacings, self.axes, strict=True) if axis.name != "t"]
        self.side = round(2 / min(space or self.spacings)) + 1
        half = torch.tensor([(n - 1) / 2 * h for (n, _), h in zip(sized, self.spacings, strict=True)])
        self.register_buffer("extent", half)
        self.register_buffer("fine", None)

    @abstractmethod
    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, D) and Laplacian (N, C) at coordinates x (N, D), as deep as `order` asks."""

    def held_out_grid(self) -> Tensor | None:
        """The truth at `evaluation_grid(2)`, (2H-1, 2W-1, C) where all points are scored; None where it is not known.

        Every second point is a sample.
        """
        return self.fine

    def interpolated(self, x: Tensor) -> Tensor:
        """(N, C), the values at x (N, D) of the spline through the samples, which most signals are."""
        return self.jet(x, 0).value

    def components(self) -> dict[str, tuple[Signal, dict[str, Any]]]:
        """K signals side by side in this one, C / K channels each, for a field of their own each; {} for one field.

        By name, in the order of their channels, with the arguments that make them.
        """
        return {}

    def prepare(self, field: CoordinateMLP) -> None:
        """Give a new field of this signal the weights that a fit starts from; here those it has."""

    def show(self, field: CoordinateMLP) -> None:
        """Give a field for many pictures the means to look at them, before anything else; here there is one."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor | None:
        """(count, D + conditions) points of one step; None for samples in a shuffled order, as `SignalData` has it."""
        return None

    def everywhere(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Coordinates x (N, D) as points of this signal; of many pictures in P of them: (P N, D + conditions)."""
        return x

    def extras(self) -> dict[str, Tensor]:
        """More pictures to show beside the truth, by name, (H, W, C) each: what a composite was made of."""
        return {}

    def coordinates(self, pixels: Tensor) -> Tensor:
        """(N, D) coordinates of positions (N, D) in pixels, (column, row), the first sample's centre at (0, 0)."""
        return pixels * pixels.new_tensor(self.spacings) - self.extent

    def pixels(self, x: Tensor) -> Tensor:
        """(N, D) positions in pixels, (column, row), of coordinates x (N, D): the inverse of `coordinates`."""
        return (x + self.extent) / x.new_tensor(self.spacings)

    def fine_shape(self, upsampling: int) -> tuple[int, ...]:
        """Points per axis, rows first, of the grid that divides every spacing into `upsampling` parts."""
        return tuple((n - 1) * upsampling + 1 for n in self.shape)

    def grid(self, index: Tensor | None = None, upsampling: int = 1) -> Tensor:
        """(N, D) coordinates of the grid that divides every spacing into `upsampling` parts, rows first.

        Of all its points, or of those with the numbers `index` (N,).
        """
        shape = self.fine_shape(upsampling)
        if index is None:
            index = torch.arange(math.prod(shape), device=self.extent.device)
        numbers = torch.stack(torch.unravel_index(index, shape), dim=-1)
        return self.coordinates(numbers.flip(-1).to(self.extent.dtype) / upsampling)

    def lattice(self, numbers: Sequence[Tensor], upsampling: int = 1) -> Tensor:
        """(n_1, ..., n_D, D) coordinates of the grid's points with these numbers, (n_d,), along each axis."""
        points = torch.stack(torch.meshgrid(*numbers, indexing="ij"), dim=-1)
        return self.coordinates(points.flip(-1).to(self.extent.dtype) / upsampling)

    def evaluation_grid(self, upsampling: int = 1) -> Tensor:
        """(H', W', D) coordinates of what is scored and drawn: the grid of that upsampling, or every n-th point of it.

        n is odd, so that at upsampling 2 every second point is a sample and those between are between the samples.
        """
        counts = [(n - 1) // self.every * upsampling + 1 for n in self.shape]
        return self.lattice([self.every * torch.arange(n, device=self.extent.device) for n in counts], upsampling)

    def uniform(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, D) coordinates drawn uniformly from the box between the outermost samples."""
        unit = torch.rand(count, self.dims, generator=generator, device=self.extent.device, dtype=self.extent.dtype)
        return (2 * unit - 1) * self.extent

    def border(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, D) coordinates where a boundary-value problem is given its values: on random sides of the box."""
        x = self.uniform(count, generator)
        axis = torch.randint(self.dims, (count, 1), generator=generator, device=x.device)
        return x.scatter(1, axis, x.gather(1, axis).sign() * self.extent[axis])

    def distance_to_border(self, x: Tensor, farthest: float) -> Tensor:
        """(N, 1), the reach r around x (N, D) that meets no border: what mean-value formulas hold in.

        `farthest` is how far points within r of x along each axis are from x at most, over r.
        """
        return (self.extent - x.abs()).amin(dim=1, keepdim=True)

    def integral(self, start: Tensor, end: Tensor) -> Tensor:
        """(N, C), the integral of the gradient along the straight lines from start (N, D) to end (N, D).

        int_0^1 grad s(a + t (b - a)) . (b - a) dt = s(b) - s(a),   the gradient theorem
        """
        return self.jet(end, 0).value - self.jet(start, 0).value

    def samples(self, order: int = 0) -> Jet:
        """The jet at the N samples that are scored, rows first; evaluated in blocks of bounded memory."""
        return joined([self.jet(x, order) for x in self.evaluation_grid().flatten(0, -2).split(BLOCK)])

    def mean_squares(self, order: int) -> Jet:
        """Mean squares over the samples, () each: ``E|s|^2``, ``E|grad s|^2``, ``E|lap s|^2``, summed over channels.

        What an error is divided by must not be rounding noise, as the derivatives of a blank picture are. So each is
        given as (pi/2)^2 of the one before at least: ``E|grad s|^2 >= (pi/2)^2 E|s - E s|^2`` holds on [-1, 1] for all
        s (Poincaré's inequality; equal for half a wave over the box), so what counts is the mean alone. Values within
        the rounding of [-1, 1] around 0 are nothing: their mean square is given as 1, and their error is absolute.
        """
        means = [part.square().sum() / len(part) for part in self.samples(order).parts]
        rounding = _ROUNDING * torch.finfo(means[0].dtype).eps
        means[0] = torch.where(means[0] > rounding**2, means[0], 1.0)
        for k in range(1, len(means)):
            means[k] = means[k].maximum((math.pi / 2) ** 2 * means[k - 1])
        return Jet(*means)

    def __len__(self) -> int:
        """The number of samples."""
        return math.prod(self.shape)
