"""A box divided into cells, and the cubes of it that a surface can pass; isosurface.py says by which rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from sinefield.errors import require

LEAF = 4  # cells along the side of the smallest cube: a smaller one costs more centres, a larger one more corners
COARSE = 32  # cubes along the longest side of the first grid, at least, where there are as many leaves
_CHUNK = 2**15  # cubes looked at at once
_CORNERS = np.array(list(product((0, 1), repeat=3)))


@dataclass(frozen=True)
class Grid:
    """A box of `cells` (3,) whole cells from `low` (3,), of size `spacing` (3,)."""

    low: np.ndarray
    spacing: np.ndarray
    cells: np.ndarray

    @classmethod
    def of(cls, low: ArrayLike, high: ArrayLike, resolution: int) -> Grid:
        """That of the box from `low` to `high`, with `resolution` cells along the longest side, in whole leaves."""
        low, high = (np.asarray(end, np.float64).reshape(-1) for end in (low, high))
        good = low.shape == high.shape == (3,) and bool(np.isfinite(high - low).all() and (high > low).all())
        require(good, f"a box goes from three numbers to three larger ones, not from {low.tolist()} to {high.tolist()}")
        cells = LEAF * np.ceil((high - low) / (high - low).max() * resolution / LEAF - 1e-9).clip(min=1).astype(int)
        return cls(low, (high - low) / cells, cells)

    def place(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) coordinates of points (N, 3) in cells."""
        return self.low + points * self.spacing

    def counts(self, side: int) -> np.ndarray:
        """(3,), how many cubes of `side` cells there are along each axis; the last ones may stand out of the box."""
        return -(-self.cells // side)

    def key(self, index: np.ndarray, side: int) -> np.ndarray:
        """(N,) numbers of the cubes with index (N, 3), in the order of the index."""
        return np.ravel_multi_index(tuple(index.T), tuple(self.counts(side)))

    def unkey(self, keys: np.ndarray, side: int) -> np.ndarray:
        """(N, 3), the inverse of `key`."""
        return np.stack(np.unravel_index(keys, tuple(self.counts(side))), axis=1)

    def edge_key(self, edges: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """(V,) numbers of edges (V, 4), lower corner in cells from `origin` and axis."""
        corner = np.ravel_multi_index(tuple((edges[:, :3] + origin).T), tuple(self.cells + 1))
        return 4 * corner.astype(np.int64) + edges[:, 3]


def leaves(f: Callable[[np.ndarray], np.ndarray], grid: Grid, margin: float) -> np.ndarray:
    """(L, 3), the index of the leaves that the surface f = 0 can pass.

    Args:
        f: the function at points (N, 3) in cells, (N,).
        grid: the box.
        margin: the slope of f, per unit of coordinate, at most.
    """
    side = LEAF
    while grid.cells.max() >= 2 * side * COARSE:
        side *= 2
    cubes = np.stack(np.unravel_index(np.arange(np.prod(grid.counts(side))), tuple(grid.counts(side))), axis=1)
    while True:
        parts = np.split(cubes, range(_CHUNK, len(cubes), _CHUNK))
        cubes = np.concatenate([part[_passed(f, grid, part, side, margin)] for part in parts])
        if side == LEAF:
            return cubes
        side //= 2
        cubes = (2 * cubes[:, None] + _CORNERS).reshape(-1, 3)
        cubes = cubes[(cubes < grid.counts(side)).all(axis=1)]


def _passed(
    f: Callable[[np.ndarray], np.ndarray], grid: Grid, cubes: np.ndarray, side: int, margin: float
) -> np.ndarray:
    """(N,), which of the cubes (N, 3) of `side` cells the surface can pass."""
    if not len(cubes):
        return np.zeros(0, bool)
    first, last = side * cubes, np.minimum(side * (cubes + 1), grid.cells)
    centre = f((first + last) / 2)
    reach = margin * np.linalg.norm((last - first) * grid.spacing, axis=1) / 2
    corners = np.where(_CORNERS, last[:, None], first[:, None]).reshape(-1, 3)
    keys = np.ravel_multi_index(tuple(corners.T), tuple(grid.cells + 1))
    _, index, inverse = np.unique(keys, return_index=True, return_inverse=True)
    below = (f(corners[index]) < 0)[inverse.reshape(-1)].reshape(-1, 8)
    one_side = np.where(centre < 0, below.all(axis=1), ~below.any(axis=1))
    return (np.abs(centre) <= reach) | ~one_side
