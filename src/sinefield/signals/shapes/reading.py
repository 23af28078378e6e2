"""Meshes and clouds of points from files, in the files' own coordinates.

PLY, OBJ, STL, OFF and GLB are read by trimesh, binary and ASCII; XYZ and PTS as columns of text, `x y z`, of which the
next three are normals where they are unit vectors, and colours otherwise; NPZ as arrays `points` and `normals`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh

from sinefield.errors import UserError, require
from sinefield.signals.decoding.source import DAMAGE

LARGEST = 2**30  # bytes, 1 GiB: as text some ten million points, which take a minute to read and 2 GiB of memory
KINDS = (".ply", ".obj", ".stl", ".off", ".glb", ".xyz", ".pts", ".npz")
_UNIT = 0.05  # how far the length of a normal in a text file may be from 1: three digits are usual


class Geometry(NamedTuple):
    """What a file holds.

    Attributes:
        points: (P, 3) in double precision; the vertices of a mesh.
        faces: (F, 3) numbers of vertices, counter-clockwise as seen from outside; None for a cloud.
        normals: (P, 3) of a cloud, of any length; None where there are none, and for a mesh.
    """

    points: np.ndarray
    faces: np.ndarray | None = None
    normals: np.ndarray | None = None


def read(path: str | Path) -> Geometry:
    """The mesh or the cloud in a file.

    Raises:
        UserError: there is no such file, it is of another kind, too large, damaged, or holds no points.
    """
    file, name = Path(path), repr(str(path))
    require(file.exists(), f"{name} does not exist; check signal.path")
    require(file.is_file(), f"{name} is no file; give signal.path=x.ply")
    kind = file.suffix.lower()
    known = ", ".join(part[1:] for part in KINDS)
    require(kind in KINDS, f"{name} is no file of a shape ({kind or 'no suffix'}); convert it to one of {known}")
    size = file.stat().st_size
    require(size > 0, f"{name} is empty (0 bytes); get it again")
    cure = "decimate or subsample it first"
    require(size <= LARGEST, f"{name} has {size / 2**30:.1f} GiB, and {LARGEST / 2**30:g} are read at most; {cure}")
    try:
        found = {".xyz": _columns, ".pts": _columns, ".npz": _arrays}.get(kind, _loaded)(file)
    except UserError:
        raise
    except (*DAMAGE, MemoryError, AttributeError) as error:  # whatever a reader raises on damaged bytes
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise UserError(
            f"{name} cannot be read as {kind[1:].upper()} ({reason}); get it again or convert it"
        ) from error
    require(len(found.points) > 0, f"{name} holds no points; give a mesh or a cloud of points")
    return found


def _loaded(file: Path) -> Geometry:
    """A mesh, or a cloud with its normals, by trimesh; the parts of a scene as one, where it places them."""
    loaded: Any = trimesh.load(str(file), process=False, skip_materials=True)
    if isinstance(loaded, trimesh.Scene):
        parts = [part for part in loaded.dump() if isinstance(part, trimesh.Trimesh)]
        if not parts:
            return Geometry(np.zeros((0, 3)))
        loaded = trimesh.util.concatenate(parts)
    points = np.asarray(loaded.vertices, dtype=np.float64).reshape(-1, 3)
    faces = getattr(loaded, "faces", None)
    if faces is not None and len(faces):
        return Geometry(points, np.asarray(faces, dtype=np.int64))
    normals = _obj_normals(file) if file.suffix.lower() == ".obj" else _ply_normals(loaded)
    return Geometry(points, None, normals if normals is not None and len(normals) == len(points) else None)


def _ply_normals(loaded: Any) -> np.ndarray | None:
    """(P, 3), the properties nx, ny, nz of a cloud's vertices."""
    vertex = loaded.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", {})
    names = vertex.dtype.names or () if isinstance(vertex, np.ndarray) else vertex.keys()
    if not {"nx", "ny", "nz"} <= set(names):
        return None
    return np.stack([np.asarray(vertex[axis], dtype=np.float64).reshape(-1) for axis in ("nx", "ny", "nz")], axis=1)


def _obj_normals(file: Path) -> np.ndarray | None:
    """(P, 3), the lines vn of a file without faces, which follow the vertices' order."""
    with file.open(errors="replace") as lines:
        rows = [line.split()[1:4] for line in lines if line.startswith("vn ")]
    return np.array(rows, dtype=np.float64).reshape(-1, 3) if rows else None


def _columns(file: Path) -> Geometry:
    """A cloud in lines of numbers; a first line of one number is their count, and # begins a comment."""
    with file.open(errors="replace") as lines:
        first = next((line for line in lines if line.strip() and not line.startswith("#")), "").split()
        skipped = len(first) == 1
        lines.seek(0)
        rows = (line.replace(",", " ") for line in lines)
        found = np.loadtxt((row for row in rows if not (skipped and len(row.split()) == 1)), ndmin=2)
    if found.size == 0:
        return Geometry(np.zeros((0, 3)))
    require(found.shape[1] >= 3, f"'{file}' has {found.shape[1]} numbers in a line; write x y z, or x y z nx ny nz")
    normals = found[:, 3:6] if found.shape[1] >= 6 else None
    if normals is not None:
        length = np.linalg.norm(normals, axis=1)
        if np.median(np.abs(length - 1)) > _UNIT:  # colours, or an intensity and two of them
            normals = None
    return Geometry(found[:, :3], None, normals)


def _arrays(file: Path) -> Geometry:
    """A cloud in arrays of NumPy."""
    with np.load(file, allow_pickle=False) as arrays:
        names = ", ".join(arrays.files)
        require("points" in arrays.files, f"'{file}' has no array 'points', only {names}; save points=(P, 3)")
        points = np.asarray(arrays["points"], dtype=np.float64)
        normals = np.asarray(arrays["normals"], dtype=np.float64) if "normals" in arrays.files else None
    require(points.ndim == 2 and points.shape[1] == 3, f"'{file}': points must be (P, 3), not {points.shape}")
    fits = normals is None or normals.shape == points.shape
    require(fits, f"'{file}': normals must be shaped as points, {points.shape}")
    return Geometry(points, None, normals)
