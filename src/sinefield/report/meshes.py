"""Meshes for a page: so few faces that they turn at once, and so few bytes that a hundred fit.

Vertices are put together by the cubes of a grid that they lie in. Each cube's vertex x is where the planes of the faces
around it meet best,

    min_x  sum_f a_f (n_f . (x - c_f))^2 + e |x - mean|^2,      a_f area, n_f normal, c_f centre, e a small weight,

so that edges and corners stay sharp. Source: Lindstrom, Out-of-core simplification of large polygonal models (2000).
"""

import io
import struct
from typing import Any

import numpy as np

MOST_FACES = 20_000
MOST_BYTES = 2**28  # of a file that is read: 7,000,000 faces
_STEPS = 65_535  # of a coordinate, from one side of the mesh's cube to the other


def small_mesh(content: bytes, most: int = MOST_FACES) -> bytes:
    """A PLY file's mesh for the page, of at most so many faces.

    The bytes, little-endian: V and F, uint32; V times x, y, z, uint16, in the cube around the mesh; V times the normal
    of length 127, int8, and a byte 0; F times three vertices, uint16.

    Raises:
        ValueError: it is no whole PLY, has no faces, or vertices that are not finite.
    """
    import trimesh  # noqa: PLC0415  most pages have no mesh

    try:
        found: Any = trimesh.load(io.BytesIO(content), file_type="ply", process=False)
        faces, vertices = np.asarray(found.faces, np.int64), np.asarray(found.vertices, np.float64)
        whole = len(faces) > 0 and faces.min() >= 0 and faces.max() < len(vertices)
    except Exception as error:  # of a damaged file anything
        raise ValueError("no whole PLY of a mesh") from error
    if not whole or not np.isfinite(vertices).all():
        raise ValueError("a mesh of vertices that are missing or not finite")
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    vertices = (vertices - centre) / max(float(np.ptp(vertices, axis=0).max()) / 2, 1e-300)
    points, normals, kept = _simplified(vertices, faces, most)
    places = np.rint((points.clip(-1, 1) + 1) / 2 * _STEPS).astype("<u2")
    directions = np.zeros((len(points), 4), np.int8)
    directions[:, :3] = np.rint(127 * normals)
    head = struct.pack("<II", len(points), len(kept))
    return head + places.tobytes() + directions.tobytes() + kept.astype("<u2").tobytes()


def _simplified(vertices: np.ndarray, faces: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (V, 3), their unit normals (V, 3) and faces (F, 3), F <= most, of a mesh in [-1, 1]^3."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    normals = np.cross(b - a, c - a) / 2  # as long as the area
    area = np.linalg.norm(normals, axis=1)
    cells = int(np.sqrt(most / max(area.sum(), 1e-9))) * 2 + 1  # some two faces per square of the grid
    label, kept = np.arange(len(vertices)), faces
    while len(kept) > most or label.max() >= _STEPS:
        index = np.floor((vertices + 1) / 2 * cells).clip(0, cells - 1).astype(np.int64)
        label = np.unique(index @ [cells * cells, cells, 1], return_inverse=True)[1].reshape(-1)
        kept = label[faces]
        kept = kept[(kept != np.roll(kept, 1, axis=1)).all(axis=1)]
        kept = np.unique(np.take_along_axis(kept, (kept.argmin(1)[:, None] + np.arange(3)) % 3, axis=1), axis=0)
        cells = int(0.85 * cells)
    count = int(label.max()) + 1

    def summed(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Over each label: (N, ...) to (count, ...)."""
        flat = values.reshape(len(values), -1)
        return np.stack([np.bincount(labels, column, count) for column in flat.T], axis=1).reshape(
            -1, *values.shape[1:]
        )

    middle = summed(vertices, label) / summed(np.ones((len(vertices), 1)), label)
    matrix, right, direction = np.zeros((count, 3, 3)), np.zeros((count, 3)), np.zeros((count, 3))
    unit = normals / np.maximum(area, 1e-300)[:, None]
    for corner in range(3):
        at = label[faces[:, corner]]
        distance = ((a + b + c) / 3 - middle[at]) * unit
        matrix += summed(area[:, None, None] * unit[:, :, None] * unit[:, None], at)
        right += summed((area * distance.sum(axis=1))[:, None] * unit, at)
        direction += summed(normals, at)
    weight = 0.01 * np.trace(matrix, axis1=1, axis2=2) + 1e-12
    move = np.linalg.solve(matrix + weight[:, None, None] * np.eye(3), right[:, :, None])[:, :, 0]
    side = 2 / max(cells, 1)
    if count < len(vertices):
        middle = middle + move.clip(-side, side)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    return middle, direction / np.maximum(length, 1e-300), kept
