"""Distances between points and surfaces, and what is inside of a mesh: exact for triangles, in NumPy.

The point of a triangle nearest to p is found by its region, the face, an edge or a corner (Ericson, Real-Time Collision
Detection, 2005, sec. 5.1.5). Which triangles come into question says a k-d tree of the middles of their parts: of the
nearest k, until the next would be too far away to be of a nearer triangle, which proves the distance, or k is `_LAST`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from sinefield.signals.shapes.sampling import on_mesh

_FIRST = 16  # parts of triangles around p that are tried first, four times as many where that proves nothing
_LAST = 64  # that are tried: of a point far away very many are nearly as near, and the error is small beside that
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
        density: parts that the triangles are divided into, to find them by; changes the speed alone.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, density: int = 100_000) -> None:
        self.vertices, self.faces = vertices, faces
        self.corners = vertices[faces]  # (F, 3, 3)
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.areas = np.linalg.norm(cross, axis=1) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            self.normals = np.nan_to_num(cross / (2 * self.areas[:, None]))
        middles, self.of, self.reach = _divided(self.corners, density)
        self.tree = cKDTree(middles)

    def nearest(self, x: np.ndarray) -> Nearest:
        """The nearest point of the surface to x (N, 3)."""
        distance, normal = np.full(len(x), np.inf), np.zeros((len(x), 3))
        open_, tried = np.arange(len(x)), _FIRST
        while len(open_):
            step = max(1, _BLOCK * _FIRST // tried)
            for rows in np.array_split(open_, -(-len(open_) // step)):
                distance[rows], normal[rows], sure = self._tried(x[rows], min(tried, len(self.of)))
                open_ = np.setdiff1d(open_, rows[sure], assume_unique=True)
            if tried >= min(len(self.of), _LAST):
                break
            tried *= 4
        return Nearest(distance, normal)

    def _tried(self, x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances, normals, and whether no other triangle can be nearer than those of the `count` nearest parts."""
        away, found = (part.reshape(len(x), -1) for part in self.tree.query(x, k=count))
        candidates = self.of[found]  # (N, k) triangles
        asked = np.repeat(x, candidates.shape[1], axis=0)
        gaps = closest(asked, self.corners[candidates].reshape(-1, 3, 3)) - asked
        distance = np.linalg.norm(gaps, axis=1).reshape(candidates.shape)
        best, rows = distance.argmin(axis=1), np.arange(len(x))
        least = distance[rows, best]
        return least, self.normals[candidates[rows, best]], away[:, -1] >= least + self.reach

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(count, 3) points evenly by area, and (count, 3) the normals of their faces."""
        return on_mesh(self.vertices, self.faces, count, rng)[:2]


def _divided(corners: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Triangles (F, 3, 3) divided into n^2 like ones each, some `count` in all; n goes by the longest edge.

    Returns the middles of the parts (P, 3), the triangles (P,) they are of, and how far from its middle a part reaches.
    """
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    edge = max(float(longest.max()) / 256, 1e-300)
    while (np.ceil(longest / edge).clip(1) ** 2).sum() > max(count, 2 * len(corners)):
        edge *= 1.2
    parts = np.ceil(longest / edge).clip(1).astype(int)
    middles, of = [], []
    for n in np.unique(parts):
        which = np.flatnonzero(parts == n)
        i, j = (grid.ravel() for grid in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
        up, down = i + j < n, i + j < n - 1
        u = np.concatenate([i[up] + 1 / 3, i[down] + 2 / 3]) / n
        v = np.concatenate([j[up] + 1 / 3, j[down] + 2 / 3]) / n
        weights = np.stack([1 - u - v, u, v], axis=1)
        middles.append((weights @ corners[which]).reshape(-1, 3))
        of.append(np.repeat(which, len(weights)))
    reach = float((longest / parts).max()) * 2 / 3  # of a median, which is no longer than the longest edge
    return np.concatenate(middles), np.concatenate(of), reach


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
