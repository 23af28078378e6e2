"""The surface f = level of a function f: R^3 -> R as a mesh: marching cubes in blocks, where the surface can be.

The box is divided into cells, cubes nearly, `resolution` along its longest side. A coarse grid of cubes is refined by
halving. A cube with centre c and half diagonal r is kept if

    |f(c) - level| <= margin * r      or its corners and its centre are not all on one side of the level,

down to cubes of `LEAF` cells, of which all corners are evaluated. Where the surface leaves these cubes, those next to
them are taken too, until it leaves none. So the mesh is closed wherever the surface is closed inside the box; at the
box itself it is cut off, open. What is missed: a component that lies, at some size of the cubes, inside of one that
none of its corners sees, where f is steeper than `margin` per unit of coordinate. With |grad f| <= margin nothing is.

A vertex is known by the edge of the grid that it lies on, so those of neighbouring blocks are one. With linear
interpolation its distance to the surface is O(h^2), h a cell's side. A jet allows Newton's steps along the gradient,

    x <- x - (f(x) - level) grad f / |grad f|^2,      at most h / 2 each,

after which it is O(h^4) or less, and what is left is that faces are flat.

Memory is that of a block, and of the mesh, O(resolution^2).
Source: Lewiner et al., Efficient implementation of Marching Cubes' cases with topological guarantees (2003), in
scikit-image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.solvers.cubes import LEAF, Grid, leaves
from sinefield.solvers.marching import corners, differ, marching_cubes, onward

BATCH = 8192  # points evaluated at once: nearly in cache
Values = Callable[[Tensor], Tensor]
Mesh = tuple[np.ndarray, np.ndarray]


def extract(
    values: Values,
    low: ArrayLike,
    high: ArrayLike,
    resolution: int,
    level: float = 0.0,
    block: int = 64,
    margin: float = 1.5,
    jet: Callable[[Tensor, int], Jet] | None = None,
    newton: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Mesh:
    """Vertices (V, 3), float64, and faces (F, 3), int64, of f = level in a box; outward where f grows outward.

    Args:
        values: f, from (N, 3) float64 on the CPU to (N, 1) of any precision and device.
        low, high: the box, three numbers each.
        resolution: cells along its longest side, rounded up to a multiple of `LEAF`.
        level: of f, in its own unit.
        block: cells along the side of a block, rounded up likewise: what bounds the memory. Changes no vertex.
        margin: the slope of f, per unit of coordinate, above which a component may be missed; see above.
        jet: f's value (N, 1) and gradient (N, 1, 3), by its order 1, for Newton's steps.
        newton: how many of these.
        progress: called with blocks done and blocks known of by then.

    Raises:
        UserError: no surface in the box, f is not finite, or an argument makes no sense.
    """
    grid, level = Grid.of(low, high, integer("resolution", resolution, least=LEAF, most=2**15)), float(level)
    side = LEAF * -(-integer("block", block, least=1) // LEAF)
    newton = integer("newton", newton, least=0)

    def f(points: np.ndarray) -> np.ndarray:
        """f - level at points (N, 3) in cells, float64 (N,)."""
        return _evaluated(values, grid.place(points)) - level

    todo, done = leaves(f, grid, positive("margin", margin)), np.empty(0, np.int64)
    keys, where, faces, count, blocks = [], [], [], 0, [0, 0]
    while len(todo):
        done, found = np.union1d(done, grid.key(todo, LEAF)), []
        for edge, place, face, next_leaves in _meshes(f, grid, todo, side, progress, blocks):
            keys.append(edge)
            where.append(place)
            faces.append(face + count)
            count += len(edge)
            found.append(next_leaves)
        todo = grid.unkey(np.setdiff1d(np.concatenate([done, *found]), done), LEAF)
    require(count > 0, f"no surface: f is nowhere {level:g} in the box; choose another level or box")
    _, first, same = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
    vertices = grid.place(np.concatenate(where)[first])
    if jet is not None:
        for part in np.array_split(vertices, -(-len(vertices) // BATCH)):  # views, moved in place
            for _ in range(newton):
                _step(jet, part, level, float(grid.spacing.min()))
    return vertices, same.reshape(-1)[np.concatenate(faces)]


def extract_field(field: Any, low: ArrayLike, high: ArrayLike, resolution: int, **options: Any) -> Mesh:
    """`extract` of a coordinate network with three coordinates and one channel, in its precision, on its device."""
    like = next(field.parameters())

    def values(x: Tensor) -> Tensor:
        return field.jet(x.to(like), 0).value

    def jet(x: Tensor, order: int) -> Jet:
        return field.jet(x.to(like), order)

    return extract(values, low, high, resolution, jet=jet, **options)


def _evaluated(values: Values, x: np.ndarray) -> np.ndarray:
    """(N,) float64 of f at x (N, 3), finite."""
    with torch.no_grad():
        parts = [values(torch.from_numpy(part)) for part in np.split(x, range(BATCH, len(x), BATCH))]
    require(parts[0].shape[1:] == (1,), f"a surface needs a function with one channel, not of {parts[0].shape[1:]}")
    found = torch.cat(parts).double().cpu().numpy()[:, 0]
    require(bool(np.isfinite(found).all()), "the function is not finite everywhere in the box: its fit diverged")
    return found


def _step(jet: Callable[[Tensor, int], Jet], x: np.ndarray, level: float, h: float) -> None:
    """Move x (N, 3) by Newton's step along the gradient, and by h / 2 at most."""
    with torch.no_grad():
        found = jet(torch.from_numpy(x), 1)
    assert found.gradient is not None
    value, gradient = (part.detach().double().cpu().numpy() for part in (found.value - level, found.gradient[:, 0]))
    move = -value * gradient / np.maximum(np.square(gradient).sum(1, keepdims=True), 1e-30)
    length = np.linalg.norm(move, axis=1, keepdims=True)
    x += np.nan_to_num(move * np.minimum(1.0, h / 2 / np.maximum(length, 1e-30)))


Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _meshes(
    f: Callable[[np.ndarray], np.ndarray],
    grid: Grid,
    todo: np.ndarray,
    side: int,
    progress: Callable[[int, int], None] | None,
    blocks: list[int],
) -> Iterator[Found]:
    """Per block: keys (V,) and places (V, 3), in cells, of its vertices, faces (F, 3), keys of leaves to look at next.

    Values on the side that two blocks share are evaluated once: in another batch they might round to another sign.
    """
    of_block, inverse = np.unique(grid.key(todo * LEAF // side, side), return_inverse=True)
    order = np.argsort(inverse.reshape(-1), kind="stable")
    groups = np.split(todo[order], np.cumsum(np.bincount(inverse.reshape(-1)))[:-1])
    all_blocks = [tuple(index) for index in grid.unkey(of_block, side).tolist()]
    there, shared = set(all_blocks), dict[tuple[int, tuple[int, ...]], np.ndarray]()
    blocks[1] += len(all_blocks)
    for index, group in zip(all_blocks, groups, strict=True):
        origin = side * np.array(index)
        shape = np.minimum(grid.cells - origin, side)
        kept = np.zeros(shape // LEAF, bool)
        kept[tuple((group - origin // LEAF).T)] = True
        cells = kept.repeat(LEAF, 0).repeat(LEAF, 1).repeat(LEAF, 2)
        wanted = np.zeros(shape + 1, bool)
        for points in corners(wanted):
            np.logical_or(points, cells, out=points)
        value = np.full(shape + 1, np.nan)
        for axis in range(3):
            before = np.moveaxis(value, axis, 0)[0]
            if (axis, index) in shared:
                np.copyto(before, shared.pop((axis, index)), where=np.isnan(before))
        asked = wanted & np.isnan(value)
        if asked.any():
            value[asked] = f(np.argwhere(asked) + origin)
        value[~wanted] = np.nan
        value[value == 0] = 1e-12 * grid.spacing.min()  # no vertex at a corner, where several edges meet
        for axis in range(3):
            after = tuple(i + (d == axis) for d, i in enumerate(index))
            if after in there:
                shared[axis, after] = np.moveaxis(value, axis, 0)[-1].copy()
        blocks[0] += 1
        if progress is not None:
            progress(*blocks)
        inside = value < 0
        mixed = cells & differ(list(corners(inside)))
        if mixed.any():
            edges, places, faces = marching_cubes(value, mixed, float(grid.spacing.min()))
            yield grid.edge_key(edges, origin), places + origin, faces, onward(inside, wanted, grid, origin)
