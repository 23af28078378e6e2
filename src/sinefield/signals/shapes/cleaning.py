"""What a file of a shape is freed from, and what it is refused for."""

import logging

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from sinefield.errors import UserError, require
from sinefield.signals.shapes.reading import Geometry

log = logging.getLogger(__name__)

FEWEST = 100  # points of a cloud: fewer say nothing of a surface
_FLAT = 1e-3  # the shortest side of what fits into a box, over the longest, of something flat
_UNLIKE = 0.2  # of the points whose normal points against a neighbour's: more are no orientation


def cleaned(found: Geometry, name: str) -> Geometry:
    """A mesh of merged vertices, without degenerate faces, turned outwards; or a cloud without what is no point.

    Raises:
        UserError: too few points are left, they lie in a plane, or their normals point both ways.
    """
    finite = np.isfinite(found.points).all(axis=1)
    if found.faces is not None:
        mesh = _mesh(found.points, found.faces[finite[found.faces].all(axis=1)], name)
        _require_solid(mesh.vertices, name)
        return Geometry(np.asarray(mesh.vertices), np.asarray(mesh.faces, dtype=np.int64))
    points, normals = found.points[finite], None if found.normals is None else found.normals[finite]
    if not finite.all():
        log.warning("%s: %d points are not finite numbers and left out", name, int((~finite).sum()))
    points, kept = np.unique(points, axis=0, return_index=True)
    normals = None if normals is None else normals[kept]
    require(
        len(points) >= FEWEST, f"{name} has {len(points)} different points, {FEWEST} are needed; give a denser cloud"
    )
    _require_solid(points, name)
    if normals is not None:
        with np.errstate(invalid="ignore"):
            length = np.linalg.norm(normals, axis=1)
        usable = np.isfinite(length) & (length > 0)
        if usable.mean() < 0.5:
            log.warning("%s: most normals are zero, so none is used; loss=digs needs none", name)
            return Geometry(points)
        points, normals = points[usable], normals[usable] / length[usable, None]
        normals = _oriented(points, normals, name)
    return Geometry(points, None, normals)


def _mesh(vertices: np.ndarray, faces: np.ndarray, name: str) -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    mesh.update_faces(mesh.unique_faces() & mesh.nondegenerate_faces())
    mesh.remove_unreferenced_vertices()
    require(len(mesh.faces) > 0, f"{name} has no face with an area; give a mesh, or its points alone as a cloud")
    if not mesh.is_winding_consistent:
        log.warning("%s: neighbouring faces turn different ways; they are turned alike as far as that goes", name)
        trimesh.repair.fix_winding(mesh)
    if mesh.volume < 0:  # of a closed one; by the divergence theorem
        log.warning("%s: its faces turn inwards; they are turned outwards", name)
        mesh.invert()
    if not mesh.is_watertight:
        log.warning("%s is open or not manifold, so nothing is inside or outside of it: iou is not scored", name)
    return mesh


def _require_solid(points: np.ndarray, name: str) -> None:
    if not len(points):
        raise UserError(f"{name} holds no finite points; mend the file")
    away = points - points.mean(axis=0)
    spread = np.linalg.svd(away.T @ away / len(away), compute_uv=False) ** 0.5
    flat = f"{name} is flat: its points lie in a plane, on a line or at one place; a surface around a volume is needed"
    require(spread[0] > 0 and spread[-1] >= _FLAT * spread[0], flat)


def _oriented(points: np.ndarray, normals: np.ndarray, name: str) -> np.ndarray:
    """Normals that point outwards: ``sum_i n_i . (p_i - centre)`` is 3 times the volume over the area of a sample."""
    some = np.random.default_rng(0).permutation(len(points))[:5000]
    _, nearest = cKDTree(points).query(points[some], k=2)
    against = float(((normals[some] * normals[nearest[:, 1]]).sum(axis=1) < 0).mean())
    cure = "orient them, or leave them out: signal.normals=false loss=digs"
    require(against < _UNLIKE, f"{name}: {against:.0%} of the normals point against their neighbour's; {cure}")
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    if ((points - middle) * normals).sum() < 0:
        log.warning("%s: the normals point inwards; they are turned outwards", name)
        return -normals
    return normals
