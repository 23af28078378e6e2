"""Points spread over a surface: drawn from a mesh by area, or taken from a cloud."""

import numpy as np

from sinefield.signals.shapes.reading import Geometry


def sample(found: Geometry, count: int | None, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """(P, 3) points and unit normals, or None where there are none.

    Args:
        found: a mesh, from which `count` points are drawn evenly by area, 50,000 where None; or a cloud, of which so
            many are taken, or all.
        count: P.
        seed: of the drawing.
    """
    rng = np.random.default_rng(seed)
    if found.faces is not None:
        points, normals, _ = on_mesh(found.points, found.faces, count or 50_000, rng)
        return points, normals
    if count is None or count >= len(found.points):
        return found.points, found.normals
    kept = rng.choice(len(found.points), count, replace=False)
    return found.points[kept], None if found.normals is None else found.normals[kept]


def on_mesh(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(count, 3) points evenly by area, (count, 3) unit normals of their faces, and (count,) the faces' numbers.

    Stratified: the face of sample i is where (i + u_i) / count falls in the cumulated area. Source of the point in a
    triangle: Osada et al., Shape distributions (2002), eq. 1.
    """
    corner, edge1, edge2 = vertices[faces[:, 0]], *(vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2))
    cross = np.cross(edge1, edge2)
    area = np.linalg.norm(cross, axis=1)
    cumulated = np.cumsum(area)
    where = (np.arange(count) + rng.random(count)) / count * cumulated[-1]
    which = np.minimum(np.searchsorted(cumulated, where, side="right"), len(faces) - 1)
    root, t = np.sqrt(rng.random(count)), rng.random(count)
    points = corner[which] + (root * (1 - t))[:, None] * edge1[which] + (root * t)[:, None] * edge2[which]
    return points, cross[which] / area[which, None], which
