"""Distances between points and surfaces, and what is inside of a mesh: exact for triangles, in NumPy.

The point of a triangle nearest to p is found by its region, the face, an edge or a corner (Ericson, Real-Time Collision
Detection, 2005, sec. 5.1.5). Which triangles come into question says a k-d tree of points spread over the mesh.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from sinefield.signals.shapes.sampling import on_mesh

_NEIGHBOURS, _MORE = 8, 96  # points of the mesh around p whose triangles are tried: near the mesh, and far from it
_FAR = 3  # mean distances of these points from each other
_BLOCK = 50_000  # points at once


class Nearest(NamedTuple):
    """For each of N points: the distance (N,) to the nearest point of a surface, and the unit normal (N, 3) there."""

    distance: np.ndarray
    normal: np.ndarray | None


class Cloud:
    """A surface of which points alone are known.

    Args:
        points: (P, 3).
        normals: (P, 3) or None.
    """

    def __init__(self, points: np.ndarray, normals: np.ndarray | None = None) -> None:
        self.points, self.normals, self.tree = points, normals, cKDTree(points)

    def nearest(self, x: np.ndarray) -> Nearest:
        """The nearest of its points to x (N, 3)."""
        distance, which = self.tree.query(x)
        return Nearest(distance, None if self.normals is None else self.normals[which])

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """(n, 3) of its points and their normals, all of them where there are no more than `count`."""
        which = np.arange(len(self.points))
        if len(which) > count:
            which = rng.choice(which, count, replace=False)
        return self.points[which], None if self.normals is None else self.normals[which]


class Mesh:
    """A surface of triangles.

    Args:
        vertices: (V, 3).
        faces: (F, 3) numbers of vertices, counter-clockwise as seen from outside.
        density: points that are spread over it to find triangles by.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, density: int = 100_000) -> None:
        self.vertices, self.faces = vertices, faces
        self.corners = vertices[faces]  # (F, 3, 3)
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.areas = np.linalg.norm(cross, axis=1) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            self.normals = np.nan_to_num(cross / (2 * self.areas[:, None]))
        spread, _, which = on_mesh(vertices, faces, density, np.random.default_rng(0))
        middles = self.corners.mean(axis=1)  # so that none is missed for being small
        self.tree = cKDTree(np.concatenate([spread, middles]))
        self.of = np.concatenate([which, np.arange(len(faces))])

    def nearest(self, x: np.ndarray) -> Nearest:
        """The nearest point of the surface to x (N, 3)."""
        distance, normal = self._tried(x, _NEIGHBOURS)
        far = distance > _FAR * (self.areas.sum() / len(self.of)) ** 0.5
        if far.any():
            distance[far], normal[far] = self._tried(x[far], _MORE)
        return Nearest(distance, normal)

    def _tried(self, x: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
        step = max(1, _BLOCK * _NEIGHBOURS // neighbours)
        parts = [self._nearest(x[start : start + step], neighbours) for start in range(0, len(x), step)]
        distance, normal = zip(*parts, strict=True)
        return np.concatenate(distance), np.concatenate(normal)

    def _nearest(self, x: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
        _, found = self.tree.query(x, k=min(neighbours, len(self.of)))
        candidates = self.of[found.reshape(len(x), -1)]  # (N, k) triangles
        triangles = self.corners[candidates].reshape(-1, 3, 3)
        away = closest(np.repeat(x, candidates.shape[1], axis=0), triangles) - np.repeat(x, candidates.shape[1], axis=0)
        distance = np.linalg.norm(away, axis=1).reshape(candidates.shape)
        best = distance.argmin(axis=1)
        rows = np.arange(len(x))
        return distance[rows, best], self.normals[candidates[rows, best]]

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(count, 3) points evenly by area, and (count, 3) the normals of their faces."""
        return on_mesh(self.vertices, self.faces, count, rng)[:2]


def closest(p: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3), the nearest point to p (N, 3) of each triangle (N, 3 corners, 3)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    ab, ac, ap, bp, cp = b - a, c - a, p - a, p - b, p - c

    def dot(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.einsum("nd,nd->n", u, v)

    d1, d2, d3, d4, d5, d6 = dot(ab, ap), dot(ac, ap), dot(ab, bp), dot(ac, bp), dot(ab, cp), dot(ac, cp)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    tiny = np.finfo(np.float64).tiny
    total = np.maximum(va + vb + vc, tiny)
    found = a + (vb / total)[:, None] * ab + (vc / total)[:, None] * ac
    along_bc = np.clip((d4 - d3) / np.maximum((d4 - d3) + (d5 - d6), tiny), 0, 1)[:, None]
    along_ac = np.clip(d2 / np.maximum(d2 - d6, tiny), 0, 1)[:, None]
    along_ab = np.clip(d1 / np.maximum(d1 - d3, tiny), 0, 1)[:, None]
    regions = (  # the later ones count where several hold
        ((va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0), b + along_bc * (c - b)),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), a + along_ac * ac),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), a + along_ab * ab),
        ((d6 >= 0) & (d5 <= d6), c),
        ((d3 >= 0) & (d4 <= d3), b),
        ((d1 <= 0) & (d2 <= 0), a),
    )
    for there, point in regions:
        found = np.where(there[:, None], point, found)
    return found


def occupied(mesh: Mesh, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(X, Y, Z) of bool, whether the winding number of a closed mesh about the points of a lattice is not 0.

    Args:
        mesh: whose faces' orders are consistent.
        x, y: (X,), (Y,) in increasing order: where lines in the direction of z stand.
        z: (Z,) in increasing order.

    A face adds or takes 1 for all points of a line below the place where they meet. A line through an edge belongs to
    one of its two faces, as the edge is drawn the same way for both.
    """
    winding = np.zeros((len(x), len(y), len(z) + 1), dtype=np.int32)
    corners = mesh.corners
    low, high = corners[:, :, :2].min(axis=1), corners[:, :, :2].max(axis=1)
    first = np.stack([np.searchsorted(x, low[:, 0]), np.searchsorted(y, low[:, 1])], axis=1)
    last = np.stack([np.searchsorted(x, high[:, 0], "right"), np.searchsorted(y, high[:, 1], "right")], axis=1)
    width = np.maximum(last - first, 0)
    count = width[:, 0] * width[:, 1]
    for start in range(0, len(count), _BLOCK):
        block = slice(start, start + _BLOCK)
        of = np.repeat(np.arange(len(count))[block], count[block])
        begin = np.cumsum(count[block]) - count[block]
        number = np.arange(len(of)) - np.repeat(begin, count[block])
        i, j = first[of, 0] + number // width[of, 1], first[of, 1] + number % width[of, 1]
        found, height, sign = _meets(corners[of], x[i], y[j])
        k = np.searchsorted(z, height[found])
        np.add.at(winding, (i[found], j[found], k), sign[found])
    # a face is met at height z_k or above by the points below it, 0 .. k - 1
    above = winding[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return above[..., 1:] != 0


def _meets(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether the vertical line at (x, y) meets each triangle, at which height, and 1 where that faces up, else -1."""
    inside = np.ones(len(corners), dtype=bool)
    weights = []
    up = np.zeros(len(corners))
    for k in range(3):
        start, end = corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]
        turned = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
        one, other = (np.where(turned[:, None], *pair) for pair in ((end, start), (start, end)))
        area = (other[:, 0] - one[:, 0]) * (y - one[:, 1]) - (other[:, 1] - one[:, 1]) * (x - one[:, 0])
        side = np.where(turned, -1, 1) * np.where(area >= 0, 1, -1)  # of an edge itself: the same for both its faces
        weights.append(np.where(turned, -area, area))
        inside &= side == (up if k else side)
        up = side
    total = np.stack(weights).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        height = sum(w * corners[:, k, 2] for k, w in enumerate(weights)) / total
    found = inside & (total != 0)
    return found, np.where(found, height, 0.0), up.astype(np.int32)
