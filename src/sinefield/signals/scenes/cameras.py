"""Cameras: which ray a pixel looks along, and the files that say where they stood.

A camera looks along its -z axis, x to the right, y up (OpenGL, as Blender, instant-ngp and nerfstudio write it). With
the pixel's centre at (u, v), u to the right and v down from the upper left corner of the picture, its ray is

    o = t,      d = R ((u - c_x) / f_x, -(v - c_y) / f_y, -1),  normalised

(R | t) is the camera's pose. Where a lens bends, (u, v) are first taken to where they would be without it (OpenCV's
model: k1, k2, k3, p1, p2).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sinefield.errors import UserError, require

_BENT = ("k1", "k2", "p1", "p2", "k3")
_FISHEYE = ("OPENCV_FISHEYE", "FISHEYE", "EQUIRECTANGULAR", "ORTHOPHOTO")
_ENDINGS = (".png", ".jpg", ".jpeg")  # of names that are given without one, as Blender does
_STEPS = 20  # of the fixed point that undoes a lens


@dataclass(frozen=True)
class Camera:
    """One view.

    Attributes:
        path: of the picture.
        pose: (3, 4), camera to world.
        focal: f_x over the picture's width and f_y over its height; f_y None for square pixels.
        centre: (c_x, c_y) over them; None for the middle.
        bend: (5,) of the lens: k1, k2, p1, p2, k3.
        held_out: whether the file says that the view is for testing alone.
    """

    path: Path
    pose: np.ndarray
    focal: tuple[float, float | None]
    centre: tuple[float, float] | None
    bend: np.ndarray
    held_out: bool


def read(path: str | Path) -> list[Camera]:
    """The cameras of transforms.json, or of transforms_train.json and transforms_test.json, in a folder.

    Raises:
        UserError: there is no such file, it is damaged, names no view, or a camera that is none of those above.
    """
    place = Path(path)
    require(place.exists(), f"signal.path={place} does not exist; give a folder with transforms.json and its pictures")
    if place.is_file():
        return _listed(place, False)
    split = [(place / f"transforms_{name}.json", name == "test") for name in ("train", "test")]
    found = [(file, test) for file, test in [(place / "transforms.json", False), *split] if file.is_file()]
    made = "Blender's, instant-ngp's and nerfstudio's exporters write one"
    require(bool(found), f"{place} has no transforms.json, which says where the cameras stood; {made}")
    return [camera for file, test in found for camera in _listed(file, test)]


def _listed(file: Path, held_out: bool) -> list[Camera]:
    try:
        content = json.loads(file.read_text())
        frames = content["frames"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{file} is no list of cameras ({error}); it needs a list, frames") from error
    require(isinstance(frames, list) and len(frames) > 0, f"{file} lists no views; it needs at least one frame")
    return [_camera(file, content, frame, held_out) for frame in frames]


def _camera(file: Path, shared: Mapping[str, Any], own: Any, held_out: bool) -> Camera:
    """One frame of the list; what it does not say itself, the file says for all."""
    try:
        said = {**shared, **own}
        name = str(said["file_path"])
        pose = np.asarray(said["transform_matrix"], float)[:3]
        bend = np.array([float(said.get(key, 0.0)) for key in _BENT])
        width, height = (float(said.get(key, 0.0)) for key in ("w", "h"))
        focal, centre = _focal(said, width, height), None
        if "cx" in said and "cy" in said and width > 0 and height > 0:
            centre = float(said["cx"]) / width, float(said["cy"]) / height
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        cure = "it needs file_path, transform_matrix (4 x 4) and camera_angle_x, or fl_x and w"
        raise UserError(f"{file}: a frame cannot be read ({type(error).__name__}: {error}); {cure}") from error
    where = f"{file}: the frame {name}"
    require(str(said.get("camera_model", "")) not in _FISHEYE, f"{where} has a fisheye lens; undistort its pictures")
    good = pose.shape == (3, 4) and bool(np.isfinite(pose).all()) and abs(np.linalg.det(pose[:, :3])) > 1e-6
    require(good, f"{where} has no transform_matrix of 4 x 4 finite numbers that turns and moves a camera")
    require(all(f is None or (math.isfinite(f) and f > 0) for f in focal), f"{where} has no focal length above 0")
    pose[:, :3] /= np.linalg.norm(pose[:, :3], axis=0)  # a scaled camera sees the same rays
    return Camera(_picture(file, name), pose, focal, centre, bend, held_out)


def _focal(said: Mapping[str, Any], width: float, height: float) -> tuple[float, float | None]:
    """(f_x / width, f_y / height); None for that of square pixels, whose picture says its shape."""
    if "fl_x" in said and width > 0:
        x = float(said["fl_x"]) / width
        return x, float(said["fl_y"]) / height if "fl_y" in said and height > 0 else None
    x = 0.5 / math.tan(float(said["camera_angle_x"]) / 2)
    return x, 0.5 / math.tan(float(said["camera_angle_y"]) / 2) if "camera_angle_y" in said else None


def _picture(file: Path, name: str) -> Path:
    """The picture that a frame names, beside the list; Blender leaves the ending out."""
    path = file.parent / name
    tried = [path, *(path.with_name(path.name + ending) for ending in _ENDINGS)]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise UserError(f"{file} names the picture {name}, and there is no {path}; copy the pictures beside the list")


def unbend(x: np.ndarray, y: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points (x, y) = ((u - c_x) / f_x, (v - c_y) / f_y) would lie without the lens, by a fixed point."""
    if not bend.any():
        return x, y
    k1, k2, p1, p2, k3 = bend
    a, b = x, y
    for _ in range(_STEPS):
        r = a * a + b * b
        radial = 1 + r * (k1 + r * (k2 + r * k3))
        across, down = 2 * p1 * a * b + p2 * (r + 2 * a * a), p1 * (r + 2 * b * b) + 2 * p2 * a * b
        a, b = (x - across) / radial, (y - down) / radial
    return a, b


def directions(camera: Camera, width: int, height: int) -> np.ndarray:
    """(H W, 3), unit vectors along the rays of the pixels of a picture, rows first, in the world."""
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    cx, cy = camera.centre or (0.5, 0.5)
    fx, fy = camera.focal
    fy = fx * width / height if fy is None else fy  # square pixels
    x, y = unbend((u - cx) / fx, (v - cy) / fy, camera.bend)
    rays = np.stack([x, -y, -np.ones_like(x)], axis=-1).reshape(-1, 3) @ camera.pose[:, :3].T
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def common_box(cameras: Sequence[Camera]) -> tuple[np.ndarray, float]:
    """The point that the cameras look at, in the least-squares sense, and half the side of the cube that all see.

        c = argmin sum_v |(I - d_v d_v^T)(c - o_v)|^2        r = min_v |c - o_v| tan(half the smaller field of view)

    Raises:
        UserError: they do not look at one place from around it.
    """
    origins = np.stack([camera.pose[:, 3] for camera in cameras])
    axes = np.stack([-camera.pose[:, 2] for camera in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = across.sum(0)
    cure = "give signal.centre=[x,y,z] and signal.radius, in the file's units"
    around = np.linalg.eigvalsh(system)[0] > 1e-3 * len(cameras)
    require(bool(around), f"the cameras do not look at one place from around it, so its box is not known; {cure}")
    centre = np.linalg.solve(system, np.einsum("vij,vj->i", across, origins))
    distance = np.linalg.norm(centre - origins, axis=1)
    ahead = np.einsum("vi,vi->v", centre - origins, axes) > 0
    require(bool(ahead.all()), f"{int((~ahead).sum())} cameras look away from where the others look; {cure}")
    focal = np.array(
        [max(f for f in camera.focal if f is not None) for camera in cameras]
    )  # 0.5 / tan of half the angle
    return centre, float((distance * 0.5 / focal).min())
