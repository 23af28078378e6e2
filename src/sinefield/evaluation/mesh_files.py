"""Meshes as files: PLY, written here, and OBJ, STL, OFF and GLB, by trimesh."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sinefield.system.files import atomic_write

ENDINGS = (".ply", ".obj", ".stl", ".off", ".glb")
_ROUNDING = 1e-3  # of an edge: what single precision may move a vertex by


def write_mesh(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write vertices (V, 3) and faces (F, 3) to a file whose name ends in one of `ENDINGS`, whole or not at all.

    A PLY is binary, in single precision where that resolves the mesh and in double where it does not, as far from 0.
    STL and GLB are in single precision always.
    """
    with atomic_write(path) as file:
        if path.suffix.lower() == ".ply":
            _write_ply(file, vertices, faces)
        else:
            import trimesh  # noqa: PLC0415  half a second to import

            mesh = trimesh.Trimesh(vertices, faces, process=False)
            content: Any = mesh.export(file_type=path.suffix.lower()[1:])
            file.write(content.encode() if isinstance(content, str) else content)


def _write_ply(file: BinaryIO, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Source: Turk, The PLY polygon file format (1994)."""
    edges = np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1)
    moved = np.abs(vertices - vertices.astype(np.float32)).max(initial=0.0)
    exact = moved > _ROUNDING * (np.median(edges) if len(edges) else 0.0)
    axes = "".join(f"property {'double' if exact else 'float'} {axis}\n" for axis in "xyz")
    head = f"ply\nformat binary_little_endian 1.0\ncomment sinefield\nelement vertex {len(vertices)}\n{axes}"
    file.write(f"{head}element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n".encode())
    vertices.astype("<f8" if exact else "<f4").tofile(file)
    for part in np.array_split(faces, len(faces) // 2**20 + 1):
        rows = np.empty(len(part), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
        rows["count"], rows["corners"] = 3, part
        rows.tofile(file)
