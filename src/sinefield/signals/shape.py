"""A shape: points on a closed surface, with or without normals, to which a signed distance function is fitted.

    f(x) = 0 on the surface,  f < 0 inside,  f > 0 outside,  |grad f| = 1

Of a cloud nothing else is known; of the shape that comes with the program the distance is, in closed form. The cloud's
bounding box is centred on 0, and its longest side takes [-1 + margin, 1 - margin]; all axes have one scale, so normals
stay what they are. Distances are in units of that box. Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import UserError, integer, require
from sinefield.signals.base import Signal
from sinefield.signals.shapes import ring, sphere
from sinefield.signals.shapes.cleaning import cleaned
from sinefield.signals.shapes.points import PointSet
from sinefield.signals.shapes.reading import read
from sinefield.signals.shapes.sampling import sample

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP

_POOL = 2**16  # points near and anywhere, of which a step draws some: their distances are computed once


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
        sets: named points of the box and what is known there: `surface`, the cloud's, with normals (P, 3) where there
            are some, else (P, 0); `near` and `anywhere`, (65536, 2): the distance to the cloud's bounding box, 0 in it,
            which the distance to the surface is no less than, and the distance to the nearest point of the cloud.
        centre, scale: in the file's own coordinates a point x of the box lies at ``centre + scale x``.
        unit: length of the longest side of the shape, in units of the box.
        vertices, faces: (V, 3) in the box and (F, 3), the mesh that the points were drawn from; None where not known.
        closed: whether the truth has an inside.

    Raises:
        UserError: the file is of no use, see `sinefield.signals.shapes.cleaning`.
    """

    smooth = False
    sets: nn.ModuleDict

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
        faces: np.ndarray | None = None
        generator = torch.Generator().manual_seed(integer("signal.seed", seed, least=0))
        drawn: np.ndarray
        directions: np.ndarray | None
        if path is None:
            drawn, directions = (part.numpy() for part in ring.sample(count or 50_000, generator))
            corners = drawn
        else:
            found = cleaned(read(path), repr(str(path)))
            corners, faces = found.points, found.faces
            drawn, directions = sample(found, count, seed)
        extents = corners.max(axis=0) - corners.min(axis=0)
        centre, longest = (corners.max(axis=0) + corners.min(axis=0)) / 2, float(extents.max())
        scale = longest / (2 - 2 * margin)
        sides = [1 + math.ceil((size - 1) * (extent / scale + 2 * margin) / 2 - 1e-9) for extent in extents]
        super().__init__(tuple(min(size, side) for side in reversed(sides)), 1)
        self.files = () if path is None else (str(path),)
        self.exact, self.near, self.start, self.seed = path is None, near, start, seed
        self.centre, self.scale, self.unit = centre, scale, longest / scale
        self.faces, self.vertices = faces, None if faces is None else (corners - centre) / scale
        placed = torch.from_numpy((drawn - centre) / scale)
        if noise > 0:
            placed = placed + noise * self.unit * torch.randn(placed.shape, generator=generator, dtype=placed.dtype)
        kept = normals and directions is not None
        known = torch.from_numpy(directions) if kept and directions is not None else placed[:, :0]
        self.sets = nn.ModuleDict({"surface": PointSet(placed.to(self.extent), known.to(self.extent))})
        low, high, tree = placed.amin(dim=0), placed.amax(dim=0), cKDTree(placed)
        half = self.extent.double()
        step = near * torch.randn(_POOL, 3, generator=generator, dtype=torch.float64)
        drawn_near = placed[torch.randint(len(placed), (_POOL,), generator=generator)] + step
        anywhere = (2 * torch.rand(_POOL, 3, generator=generator, dtype=torch.float64) - 1) * half
        for name, x in (("near", drawn_near.clamp(-half, half)), ("anywhere", anywhere)):
            outside = torch.maximum(low - x, x - high).relu().norm(dim=1)
            distance = torch.from_numpy(tree.query(x, workers=-1)[0])
            self.sets[name] = PointSet(x.to(self.extent), torch.stack([outside, distance], dim=1).to(self.extent))

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

    @property
    def cloud(self) -> Tensor:
        """(P, 3), in the box."""
        return cast("PointSet", self.sets["surface"]).x

    @property
    def normals(self) -> Tensor | None:
        """(P, 3), of the cloud's points; None where there are none."""
        known = cast("PointSet", self.sets["surface"]).known
        return known if known.shape[1] else None

    def prepare(self, field: CoordinateMLP) -> None:
        """Fit the field to the distance from a sphere about the cloud, unless `start` is False."""
        if self.start:
            middle = self.cloud.mean(dim=0)
            radius = (self.cloud - middle).norm(dim=1).mean().item()
            sphere.fit(field, middle, radius, self.extent, self.seed)

    def to_file(self, x: np.ndarray) -> np.ndarray:
        """(N, 3) in the file's own coordinates, of points (N, 3) of the box."""
        return x * self.scale + self.centre

    def exact_surface(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(count, 3) points of the exact shape's surface, in the box, evenly by area, and (count, 3) unit normals."""
        points, normals = ring.sample(count, torch.Generator().manual_seed(seed))
        return (points.numpy() - self.centre) / self.scale, normals.numpy()
