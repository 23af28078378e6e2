"""A shape: points on a closed surface, with or without normals, to which a signed distance function is fitted.

    f(x) = 0 on the surface,  f < 0 inside,  f > 0 outside,  |grad f| = 1

Of a cloud nothing else is known; of the shape that comes with the program the distance is, in closed form. The cloud's
bounding box is centred on 0, and its longest side takes [-1 + margin, 1 - margin]; all axes have one scale, so normals
stay what they are. Distances are in units of that box. Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import UserError, integer, require
from sinefield.signals.base import Signal
from sinefield.signals.shapes import ring, sphere
from sinefield.signals.shapes.cleaning import cleaned
from sinefield.signals.shapes.reading import read
from sinefield.signals.shapes.sampling import sample

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP

_RAYS = (0.5377, 0.7264, 0.4280)  # any direction with no ratio of small integers: tells points of a lattice apart


class Shape(Signal):
    """A cloud of points on a surface, in a box.

    Args:
        path: a mesh or a cloud, see `sinefield.signals.shapes.reading`; None for a ring whose distance is known.
        size: points along the longest side of the grid on which the field is looked at during a run.
        points: how many are drawn from a mesh, evenly by area, or taken of a cloud that has more; None for all.
        noise: standard deviation of what is added to each coordinate of a point, over the longest side of the shape.
        normals: whether they are used where there are some.
        margin: around the longest side, in units of the box.
        near: standard deviation of the distance of points near the surface from it, in units of the box.
        start: whether a fit starts as a sphere; False for the seed's own weights.
        seed: of the points that are drawn, and of the noise.

    Attributes:
        cloud, normals: (P, 3) each, in the box; normals are None where there are none.
        centre, scale: in the file's own coordinates a point x of the box lies at ``centre + scale x``.
        unit: length of the longest side of the shape, in units of the box.
        vertices, faces: (V, 3) in the box and (F, 3), the mesh that the points were drawn from; None where not known.
        closed: whether the truth has an inside.

    Raises:
        UserError: the file is of no use, see `sinefield.signals.shapes.cleaning`.
    """

    smooth = False
    cloud: Tensor
    normals: Tensor | None
    low: Tensor
    high: Tensor

    def __init__(
        self,
        path: str | Path | None = None,
        size: int = 64,
        points: int | None = 50_000,
        noise: float = 0.0,
        normals: bool = True,
        margin: float = 0.1,
        near: float = 0.05,
        start: bool = True,
        seed: int = 0,
    ) -> None:
        integer("signal.size", size, least=4, most=1024)
        count = None if points is None else integer("signal.points", points, least=100)
        require(0 < margin < 0.9, f"signal.margin must be between 0 and 0.9, not {margin!r}")
        require(0 <= noise < 1, f"signal.noise must be at least 0 and less than 1, of the shape's size; not {noise!r}")
        require(near > 0, f"signal.near must be above 0, not {near!r}")
        self_faces: np.ndarray | None = None
        generator = torch.Generator().manual_seed(integer("signal.seed", seed, least=0))
        corners: np.ndarray
        if path is None:
            drawn, directions = (part.numpy() for part in ring.sample(count or 50_000, generator))
            corners = drawn
        else:
            found = cleaned(read(path), repr(str(path)))
            corners, self_faces = found.points, found.faces
            drawn, directions = sample(found, count, seed)
        extents = corners.max(axis=0) - corners.min(axis=0)
        centre, longest = (corners.max(axis=0) + corners.min(axis=0)) / 2, float(extents.max())
        scale = longest / (2 - 2 * margin)
        sides = [1 + math.ceil((size - 1) * (extent / scale + 2 * margin) / 2 - 1e-9) for extent in extents]
        super().__init__(tuple(min(size, side) for side in reversed(sides)), 1)
        self.files = () if path is None else (str(path),)
        self.exact, self.near, self.start, self.seed = path is None, near, start, seed
        self.centre, self.scale, self.unit = centre, scale, longest / scale
        self.faces, self.vertices = self_faces, None if self_faces is None else (corners - centre) / scale
        placed = torch.from_numpy((drawn - centre) / scale)
        if noise > 0:
            placed = placed + noise * self.unit * torch.randn(placed.shape, generator=generator, dtype=placed.dtype)
        kept = normals and directions is not None
        self.register_buffer("cloud", placed.to(self.extent))
        self.register_buffer("normals", torch.from_numpy(directions).to(self.extent) if kept else None)
        self.register_buffer("low", self.cloud.amin(dim=0))
        self.register_buffer("high", self.cloud.amax(dim=0))
        self._sorted: tuple[Tensor, Tensor] | None = None  # the cloud's keys, and the numbers of its points, in order

    @property
    def closed(self) -> bool:
        """Whether the truth has an inside: it is known exactly, or a mesh without holes."""
        if self.faces is None:
            return self.exact
        edges = np.sort(self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        return bool((np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all())

    def jet(self, x: Tensor, order: int) -> Jet:
        """Distance (N, 1), gradient (N, 1, 3) and Laplacian (N, 1, 1) at x (N, 3); of the exact shape alone."""
        if not self.exact:
            raise UserError(
                "the distance to a shape from a file is not known; fit it by loss=sdf, igr, digs or steik "
                "(evaluation=surface), or take signal.path=null"
            )
        found = autograd_jet(self._distance, x, order)
        return found if x.requires_grad else found.map(Tensor.detach)

    def _distance(self, x: Tensor) -> Tensor:
        return ring.distance(x * self.scale + x.new_tensor(self.centre)) / self.scale

    def surface(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 3) points of the cloud, drawn with replacement."""
        which = torch.randint(len(self.cloud), (count,), generator=generator, device=self.cloud.device)
        return self.cloud[which]

    def nearby(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 3) points of the cloud moved by normal steps of standard deviation `near`, kept in the box."""
        x = self.surface(count, generator)
        step = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return (x + self.near * step).clamp(-self.extent, self.extent)

    def normals_at(self, x: Tensor) -> Tensor:
        """(N, 3) unit normals at x (N, 3), points of the cloud as `surface` gives them."""
        if self.normals is None:
            raise UserError("this shape has no normals; take a loss that needs none: loss=digs or loss=steik")
        if self._sorted is None or self._sorted[0].device != x.device:
            keys = _keys(self.cloud)
            self._sorted = keys.sort()
        keys, numbers = self._sorted
        place = torch.searchsorted(keys, _keys(x)).clamp(max=len(keys) - 1)
        return self.normals[numbers[place]].to(x)

    def outside(self, x: Tensor) -> Tensor:
        """(N, 1), the distance of x (N, 3) to the cloud's bounding box, 0 in it: no more than that to the surface."""
        return torch.maximum(self.low.to(x) - x, x - self.high.to(x)).relu().norm(dim=1, keepdim=True)

    def prepare(self, field: CoordinateMLP) -> None:
        """Fit the field to the distance from a sphere about the cloud, unless `start` is False."""
        if self.start:
            middle = self.cloud.mean(dim=0)
            radius = (self.cloud - middle).norm(dim=1).mean().item()
            sphere.fit(field, middle, radius, self.extent, self.seed)

    def own(self, x: np.ndarray) -> np.ndarray:
        """(N, 3) in the file's own coordinates, of points (N, 3) of the box."""
        return x * self.scale + self.centre

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]  # of nn.Module: to, float, double, cuda
        self._sorted = None
        return super()._apply(fn, recurse)


def _keys(x: Tensor) -> Tensor:
    """(N,), a number for each point, the same wherever it stands."""
    x = x.double()
    return x[:, 0] * _RAYS[0] + x[:, 1] * _RAYS[1] + x[:, 2] * _RAYS[2]
