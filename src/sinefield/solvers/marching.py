"""Marching cubes in one block of a grid, and where the surface leaves the cubes that were looked at."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from sinefield.solvers.cubes import LEAF, Grid

_LEAST, _MOST = 0.01, 100.0  # of |f| over a cell's side: keeps a vertex in single precision off the ends of its edge
_CORNERS = np.array(list(product((0, 1), repeat=3)))


def corners(points: np.ndarray) -> Iterator[np.ndarray]:
    """The eight views of a lattice's points that are the cells' corners."""
    shape = points.shape
    for corner in _CORNERS:
        yield points[tuple(slice(c, n - 1 + c) for c, n in zip(corner, shape, strict=True))]


def differ(parts: list[np.ndarray]) -> np.ndarray:
    """Where some of these arrays hold and some do not."""
    return np.logical_or.reduce(parts) & ~np.logical_and.reduce(parts)


def marching_cubes(value: np.ndarray, mixed: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marching cubes in the cells `mixed`: the vertices' edges (V, 4), see below, their places (V, 3), faces (F, 3).

    An edge is its lower corner and its axis; axis 3 is the middle of a cell, where an ambiguous one has a vertex.
    """
    from skimage import measure  # noqa: PLC0415  a second to import

    scaled = np.sign(value) * np.clip(np.abs(value) / h, _LEAST, _MOST)
    mask = np.zeros(value.shape, bool)
    mask[1:, 1:, 1:] = mixed  # scikit-image asks the mask at a cell's upper corner
    places, faces, _, _ = measure.marching_cubes(
        np.nan_to_num(scaled, nan=1.0), 0.0, mask=mask, gradient_direction="descent"
    )
    base = np.floor(places).astype(np.int64)
    off = places != base
    axis = np.where(off.sum(1) == 1, off.argmax(1), 3)
    edges = np.concatenate([base, axis[:, None]], axis=1)
    on = np.flatnonzero(axis < 3)
    upper = base[on]
    upper[np.arange(len(on)), axis[on]] += 1
    one, other = value[tuple(base[on].T)], value[tuple(upper.T)]
    exact = places.astype(np.float64)
    exact[on, axis[on]] = base[on, axis[on]] + one / (one - other)
    return edges, exact, faces.astype(np.int64)


def onward(inside: np.ndarray, wanted: np.ndarray, grid: Grid, origin: np.ndarray) -> np.ndarray:
    """Keys of the leaves on both sides of every leaf's face that the surface passes."""
    found = []
    for axis in range(3):
        planes, known = (np.moveaxis(part, axis, 0)[::LEAF] for part in (inside, wanted))
        corners = [(slice(None), slice(a, -1 + a or None), slice(b, -1 + b or None)) for a in (0, 1) for b in (0, 1)]
        passes = differ([planes[c] for c in corners]) & np.logical_and.reduce([known[c] for c in corners])
        count, rows, columns = passes.shape
        passes = passes.reshape(count, rows // LEAF, LEAF, columns // LEAF, LEAF).any((2, 4))
        upper = np.argwhere(np.moveaxis(passes, 0, axis)) + origin // LEAF
        lower = upper - np.eye(3, dtype=int)[axis]
        found += [upper[upper[:, axis] < grid.cells[axis] // LEAF], lower[lower[:, axis] >= 0]]
    return np.unique(grid.key(np.concatenate(found), LEAF))
