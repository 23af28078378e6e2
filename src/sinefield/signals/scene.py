"""A scene, known by its pictures from many sides: density and colour at every place, seen along rays.

A field answers at (x, y, z) with its density, at least 0, and red, green and blue in [-1, 1]; a pixel is what
`sinefield.losses.rendering` composites of it along a ray. The box is the cube that all cameras see, centred where they
look, and takes [-1, 1]. Source: Mildenhall et al. (NeRF), arXiv 2003.08934.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import UserError, integer, positive, require
from sinefield.signals.base import Signal
from sinefield.signals.decoding.pixels import decode, resize
from sinefield.signals.scenes import cameras, solids

_LIGHTS = {"white": 1.0, "black": 0.0}
_SOFT = 0.02  # of the exact scene's density: the width of its rise at a surface, which a step would not have
_FINER = 3  # rays per pixel and side of the exact scene's pictures


class Scene(Signal):
    """Views of a scene; some are held out, and scored on.

    Args:
        path: a folder with transforms.json and its pictures, or such a file; None for the program's own scene.
        size: pixels along the longest side of the pictures, at most what they have; None for all they have.
        views: how many of the program's own scene; of a file, the most that are taken; None for all.
        every: each n-th view is held out, where the file does not say which are.
        background: what lies behind everything, and what pictures with alpha are laid over: white or black.
        centre, radius: middle and half the side of the box, in the file's units; None for the cube that all see.

    Attributes:
        colours: (V, H, W, 3) uint8, all views.
        poses: (V, 3, 4), camera to box.
        rays: (V, H W, 3), unit vectors along the pixels' rays, in the box.
        training, testing: numbers of the views.
        depths: (V, H, W), distance along the ray, in units of the box; None where it is not known.

    Raises:
        UserError: there are no cameras, no pictures, or they do not fit together.
    """

    smooth = False
    colours: Tensor
    poses: Tensor
    rays: Tensor

    def __init__(
        self,
        path: str | Path | None = None,
        size: int | None = 64,
        views: int | None = None,
        every: int = 8,
        background: Literal["white", "black"] = "white",
        centre: Sequence[float] | None = None,
        radius: float | None = None,
    ) -> None:
        require(background in _LIGHTS, f"signal.background must be white or black, not {background!r}")
        light, exact = _LIGHTS[background], path is None
        side = None if size is None else integer("signal.size", size, least=4, most=4096)
        every = integer("signal.every", every, least=2)
        listed = self._listed(path, views, every)
        require(len(listed) > 1, f"signal.path={path}: a scene needs two views at least, and there is {len(listed)}")
        middle, half = (np.zeros(3), solids.RADIUS) if exact else _box(listed, centre, radius)
        pictures, depths = _drawn(listed, side or 64, light) if exact else (_read(listed, side, light), None)
        height, width = pictures.shape[1:3]
        super().__init__((max(height, width),) * 3, 4)  # a point per pixel
        self.exact, self.background, self.centre, self.scale = exact, 2 * light - 1, middle, half
        self.files = () if exact else tuple(str(camera.path) for camera in listed)
        poses = np.stack([camera.pose for camera in listed])
        poses[:, :, 3] = (poses[:, :, 3] - middle) / half
        rays = np.stack([cameras.directions(camera, width, height) for camera in listed])
        for name, array in (("poses", poses), ("rays", rays)):
            self.register_buffer(name, torch.from_numpy(array).to(self.extent))
        self.register_buffer("colours", torch.from_numpy(pictures))
        self.depths = depths
        said = [camera.held_out for camera in listed]
        held = said if any(said) else [k % every == every - 1 for k in range(len(listed))]
        self.held_out = [k for k, out in enumerate(held) if out] or [len(listed) - 1]
        self.seen = [k for k in range(len(listed)) if k not in set(self.held_out)]
        require(len(self.seen) > 0, f"signal.path={path}: all views are held out; there is none to train on")

    @staticmethod
    def _listed(path: str | Path | None, views: int | None, every: int) -> list[cameras.Camera]:
        count = None if views is None else integer("signal.views", views, least=2)
        if path is None:
            count = count or 60
            return solids.around(count, 0.0) + solids.around(-(-count // every), 1.0)
        listed = cameras.read(path)
        return listed if count is None else [listed[k * len(listed) // count] for k in range(min(count, len(listed)))]

    def jet(self, x: Tensor, order: int) -> Jet:
        """Density and colour (N, 4) of the program's own scene at x (N, 3), with derivatives; of no other.

        The density is 1 inside, 0 outside and rises over 0.02 units of the box, the colour that of the texture.
        """
        if not self.exact:
            raise UserError("what a scene is in space is not known; fit it by loss=rendered, or take signal.path=null")

        def known(x: Tensor) -> Tensor:
            density = torch.sigmoid(solids.distances(x).amin(dim=1, keepdim=True) / -_SOFT)
            return torch.cat([density, 2 * solids.paint(x) - 1], dim=1)

        found = autograd_jet(known, x, order)
        return found if x.requires_grad else found.map(Tensor.detach)

    def pixels_of(self, view: Tensor, pixel: Tensor) -> Tensor:
        """(n, 3) in [-1, 1], the colours of pixels, numbered rows first, of views, both (n,)."""
        return self.colours.flatten(1, 2)[view, pixel].to(self.extent) / 127.5 - 1

    def to_file(self, x: np.ndarray) -> np.ndarray:
        """(N, 3) in the file's own coordinates, of points (N, 3) of the box."""
        return x * self.scale + self.centre


def _box(
    listed: list[cameras.Camera], centre: Sequence[float] | None, radius: float | None
) -> tuple[np.ndarray, float]:
    """Middle and half the side, as they are given or as the cameras have them."""
    if centre is None or radius is None:
        found = cameras.common_box(listed)
    middle = found[0] if centre is None else np.asarray(centre, dtype=float)
    good = middle.shape == (3,) and bool(np.isfinite(middle).all())
    require(good, f"signal.centre must be three finite numbers, not {centre!r}")
    return middle, found[1] if radius is None else positive("signal.radius", radius)


def _read(listed: list[cameras.Camera], size: int | None, light: float) -> np.ndarray:
    """(V, H, W, 3) uint8, the pictures of all cameras."""
    read = [_picture(camera.path, size, light) for camera in listed]
    kinds = {picture.shape[:2] for picture in read}
    sizes = ", ".join(f"{w} x {h}" for h, w in sorted(kinds))
    require(len(kinds) == 1, f"the pictures of a scene must have one size, and these have {sizes}")
    return np.stack(read)


def _picture(path: Path, size: int | None, light: float) -> np.ndarray:
    """(H, W, 3) uint8, laid over white, or over what `light` says."""
    pixels = decode(path, behind=light)
    height, width = pixels.shape[:2]
    if size is not None and max(height, width) > size:
        height, width = (max(1, round(n * size / max(height, width))) for n in (height, width))
        pixels = resize(pixels, height, width).clip(0, 1)
    return np.rint(255 * np.broadcast_to(pixels, (*pixels.shape[:2], 3))).astype(np.uint8)


def _drawn(listed: list[cameras.Camera], size: int, light: float) -> tuple[np.ndarray, Tensor]:
    """The exact scene's pictures (V, size, size, 3), and the distances along the rays of their pixels."""
    seen = [_seen(camera, size, light) for camera in listed]
    return np.stack([colours for colours, _ in seen]), torch.stack([depth for _, depth in seen])


def _seen(camera: cameras.Camera, size: int, light: float) -> tuple[np.ndarray, Tensor]:
    fine = _FINER * size
    rays = torch.from_numpy(cameras.directions(camera, fine, fine))
    colours, t = solids.cast(torch.from_numpy(camera.pose[:, 3]).expand_as(rays), rays, light)
    colours = colours.reshape(size, _FINER, size, _FINER, 3).mean(dim=(1, 3))
    middle = t.reshape(fine, fine)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
    return (255 * colours).round().to(torch.uint8).numpy(), middle.clone()
