"""A scene: PSNR and SSIM of held-out views, how far off their depths are, and what is to be seen of it.

    depth = sum_i w_i t_i / sum_i w_i        depth error = mean |depth - truth| over pixels that see a solid

in units of the box, where the truth is known. During a run some held-out pixels are looked at, with evenly spread
points; at the end all of them, with points where the field has something to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from sinefield.errors import UserError, integer, positive, require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.films import write_film
from sinefield.evaluation.mesh_files import write_mesh
from sinefield.evaluation.metrics import score
from sinefield.evaluation.surface_pictures import views as mesh_views
from sinefield.evaluation.views_pictures import sheet
from sinefield.losses.rendering import along, composite, refined
from sinefield.signals.scene import Scene
from sinefield.solvers.isosurface import extract
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

_RAYS = 1024  # rendered at once
_PIXELS = 2048  # looked at during a run
_RATE = 24.0  # of the turntable's frames per second


class Rendering(NamedTuple):
    """A view as the field has it: colours (H, W, 3) in [-1, 1], depth (H, W), and how much of the ray is stopped."""

    colours: Tensor
    depth: Tensor
    opacity: Tensor


class Views(Evaluation):
    """Compares held-out views with their pictures.

    Args:
        signal, loss: as of `Evaluation`.
        samples: points along each ray.
        level: the density on the mesh that is drawn.
        resolution: cells along each side of the box, of the mesh.
        frames: of the turntable film.

    Raises:
        UserError: the signal is no scene.
    """

    shown = (
        Score("psnr_views", "PSNR of held-out views", "dB"),
        Score("ssim_views", "SSIM of held-out views", digits=4),
        Score("depth_error", "depth error, units of the box", digits=4, direction="min"),
    )

    def __init__(
        self,
        signal: Signal,
        loss: Loss,
        samples: int = 64,
        level: float = 1.0,
        resolution: int = 128,
        frames: int = 48,
    ) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Scene), "evaluation=views is for views of a scene; take signal=scene")
        self.scene = cast("Scene", signal)
        self.samples = integer("evaluation.samples", samples, least=2)
        self.level, self.frames = positive("evaluation.level", level), integer("evaluation.frames", frames, least=1)
        self.resolution = integer("evaluation.resolution", resolution, least=8, most=2048)
        self._seen: list[Rendering] = []

    def points(self) -> Sequence[Tensor]:
        """The points of some held-out pixels' rays, in blocks (N, 10)."""
        view, pixel = self._few()
        return along(self.scene, view, pixel, self._middles(len(view))).split(_RAYS * self.samples)

    def scores(self, values: Tensor) -> Scores:
        """psnr_views of some held-out pixels, roughly; the others are known at the end."""
        view, pixel = self._few()
        x = along(self.scene, view, pixel, self._middles(len(view))).to(values)
        found, _ = composite(values, x, self.samples, self.scene.background)
        error = (found - self.scene.pixels_of(view, pixel).to(found)).square().mean()
        return {"psnr_views": (10 * torch.log10(4 / error)).item(), "ssim_views": None, "depth_error": None}

    def final(self, field: CoordinateMLP) -> Scores:
        """All scores, of all held-out views."""
        self._seen = [self.render(field, self.scene.poses[k], self.scene.rays[k]) for k in self.scene.held_out]
        found, off, solid = [], 0.0, 0
        for k, seen in zip(self.scene.held_out, self._seen, strict=True):
            truth = (self.scene.colours[k].double() / 127.5 - 1).cpu()
            found.append(score(seen.colours.double(), truth, 1, torch.zeros_like))
            if self.scene.depths is not None:
                there = self.scene.depths[k].isfinite() & (seen.opacity > 0.5)
                off += float((seen.depth - self.scene.depths[k])[there].abs().sum())
                solid += int(there.sum())
        known = [each["ssim"] for each in found if each["ssim"] is not None]
        errors = [10 ** -(float(each["psnr"] or 0.0) / 10) for each in found]
        return {
            "psnr_views": -10 * float(np.log10(np.mean(errors))),
            "ssim_views": float(np.mean(known)) if known else None,
            "depth_error": off / solid if solid else None,
        }

    def render(self, field: CoordinateMLP, pose: Tensor, rays: Tensor) -> Rendering:
        """What the field shows of a view, from its pose (3, 4) and the unit vectors (H W, 3) along its pixels' rays."""
        like, shape = next(field.parameters()), self.scene.colours.shape[1:3]
        at: Any = _At(self.scene, pose.to(like), rays.to(like))
        parts = []
        with torch.no_grad():
            for pixel in torch.arange(len(rays), device=like.device).split(_RAYS):
                x = along(at, torch.zeros_like(pixel), pixel, self._middles(len(pixel)).to(like))
                x = refined(field, x, self.samples, self.samples)
                colours, weights = composite(field(x), x, self.samples, self.scene.background)
                t, origin = x[:, 6].unflatten(0, (-1, self.samples)), pose[:, 3].to(x)
                near = (x.unflatten(0, (-1, self.samples))[:, 0, :3] - origin).norm(dim=1) - t[:, 0]
                stopped = weights.sum(dim=1)
                depth = near + (weights * t).sum(dim=1) / stopped.clamp(min=1e-6)
                parts.append(torch.cat([colours, depth[:, None], stopped[:, None]], dim=1))
        picture = torch.cat(parts).unflatten(0, shape).cpu()
        return Rendering(picture[..., :3], picture[..., 3], picture[..., 4])

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """views.png: held-out views, field, error and depth; turntable.mp4; mesh.ply and mesh.png of the density."""
        if not self._seen:
            self.final(field)
        files = {"views": folder / "views.png", "turntable": folder / "turntable.mp4"}
        known = [each for each in self.shown if scores.get(each.key) is not None]
        caption = ", ".join(f"{each.name} {each.text(scores[each.key])}" for each in known)
        held = self.scene.held_out
        some = sorted({k * len(held) // 4 for k in range(4)} if len(held) > 4 else range(len(held)))
        truths = [self.scene.colours[held[k]].cpu().numpy() for k in some]
        shown = [self._seen[k] for k in some]
        write_atomically(files["views"], sheet(truths, shown, caption))
        write_film(files["turntable"], self._turn(field), _RATE)
        self._mesh(folder, field, files)
        return {name: path for name, path in files.items() if path.suffix == ".png"}

    def _turn(self, field: CoordinateMLP) -> Any:
        """Frames (H, W, 3) uint8, once around the middle of the box from the height of the first held-out camera."""
        pose, rays = (of[self.scene.held_out[0]].double().cpu() for of in (self.scene.poses, self.scene.rays))
        up = self.scene.poses[:, :, 1].double().mean(dim=0).cpu()
        axis = up / up.norm()
        for k in range(self.frames):
            turn = _rotation(axis, 2 * np.pi * k / self.frames)
            seen = self.render(field, turn @ pose, rays @ turn.T)
            yield ((seen.colours.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()

    def _mesh(self, folder: Path, field: CoordinateMLP, files: dict[str, Path]) -> None:
        """The surface of the level, where there is one."""
        like = next(field.parameters())
        half = self.scene.extent.double().cpu().numpy()
        try:
            vertices, faces = extract(
                lambda x: self.level - field(x.to(like))[:, :1], -half, half, self.resolution, margin=1e3
            )
        except UserError:  # the density is nowhere as large; the views tell
            return
        files["mesh_views"] = folder / "mesh_views.png"
        write_atomically(files["mesh_views"], mesh_views(vertices, faces, up=2))
        write_mesh(folder / "mesh.ply", self.scene.to_file(vertices), faces)

    def _middles(self, count: int) -> Tensor:
        """(count, S) of 1/2: points in the middles of equal parts of their rays."""
        return self.signal.extent.new_full((count, self.samples), 0.5)

    def _few(self) -> tuple[Tensor, Tensor]:
        """Views and pixels, (n,) each, of held-out views; always the same."""
        held, pixels = torch.tensor(self.scene.held_out), self.scene.rays.shape[1]
        count = min(_PIXELS, len(held) * pixels)
        chosen = torch.randperm(len(held) * pixels, generator=torch.Generator().manual_seed(0))[:count]
        device = self.scene.rays.device
        return held[chosen // pixels].to(device), (chosen % pixels).to(device)


class _At:
    """A camera that is none of the scene's, as `along` asks for it."""

    def __init__(self, scene: Scene, pose: Tensor, rays: Tensor) -> None:
        self.poses, self.rays, self.extent = pose[None], rays[None], scene.extent.to(pose)


def _rotation(axis: Tensor, angle: float) -> Tensor:
    """(3, 3) about a unit vector, by Rodrigues' formula."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=axis.dtype)
    return torch.eye(3, dtype=axis.dtype) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
