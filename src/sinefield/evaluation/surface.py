"""How good a surface is: f = 0 of the field, as a mesh, against the truth. All lengths are over the longest side of the
shape, which then fits into a unit box.

    chamfer             (mean_a d(a, T) + mean_b d(b, S)) / 2          a on the fit's surface S, b on the truth's T
    chamfer_squared     mean_a d(a, T)^2 + mean_b d(b, S)^2
    hausdorff           max(max_a d(a, T), max_b d(b, S))
    normal_consistency  (mean_a |n(a) . n(nearest of T)| + mean_b |n(b) . n(nearest of S)|) / 2
    iou                 |inside both| / |inside one or both|, of points spread over the box, where the truth is closed
    eikonal_error       mean | |grad f| - 1 |, of points near the surface
    distance_error      mean |f - distance|, of points spread over the box, where the distance is known

Distances are to the other *surface*, the nearest point on its triangles. Of a cloud without faces T is its points, so
that a is never nearer than these are apart: with 50,000 points d(a, T) is some 0.003 of a perfect fit. During a run
S is taken from the values on the signal's grid, with few samples; at the end from a finer mesh with many. Sources:
Williams et al., arXiv 1811.10943, for the first and the third; Mescheder et al., arXiv 1812.03828, for the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor

from sinefield.core.jet import BLOCK, Jet
from sinefield.errors import UserError, integer, require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.mesh_files import write_mesh
from sinefield.evaluation.surface_distance import Mesh, occupied
from sinefield.evaluation.surface_pictures import slices, views
from sinefield.evaluation.surface_truth import known_surface
from sinefield.signals.shape import Shape
from sinefield.solvers.components import components
from sinefield.solvers.isosurface import extract_field
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

_FEW = 4000  # samples of each surface during a run
_NEAR = 16_384  # points of a set at which the field's jet is scored
_LINES, _ALONG = 96, 48  # of points along each of these, through the box, at which inside and outside are compared
_BATCH = 8192  # points of a jet at once


class Surface(Evaluation):
    """Compares the zero of a field with a shape.

    Args:
        signal: a `Shape`.
        loss: of the fit.
        resolution: cells along the longest side of the box, of the mesh at the end; None for four times `signal.size`.
        samples: of each of the two surfaces, at the end.

    Raises:
        UserError: the signal is no shape.
    """

    shown = (
        Score("chamfer", "Chamfer distance, unit box", digits=5, direction="min"),
        Score("hausdorff", "Hausdorff distance, unit box", digits=4, direction="min"),
        Score("iou", "IoU of the insides", digits=4),
        Score("normal_consistency", "consistency of the normals", digits=4),
        Score("components", "components", digits=0, direction=""),
        Score("eikonal_error", "mean ||grad f| - 1| near the surface", digits=4, direction="min"),
        Score("distance_error", "mean error of the distance, unit box", digits=-1, direction="min"),
        Score("chamfer_squared", "squared Chamfer distance, summed", digits=-1, direction="min"),
    )

    def __init__(self, signal: Signal, loss: Loss, resolution: int | None = None, samples: int = 100_000) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Shape), "evaluation=surface is for shapes; take signal=shape")
        self.shape = cast("Shape", signal)
        cells = 4 * max(signal.shape) if resolution is None else resolution
        self.resolution = integer("evaluation.resolution", cells, least=8, most=4096)
        self.samples = integer("evaluation.samples", samples, least=1)
        self.truth = known_surface(self.shape)
        self._few: tuple[np.ndarray, np.ndarray | None] | None = None
        self._inside: np.ndarray | None = None  # of the signal's grid
        self._mesh: tuple[np.ndarray, np.ndarray] | None = None  # of the finished fit, in the box

    def points(self) -> Sequence[Tensor]:
        """The points of the signal's grid, in blocks (N, 3)."""
        return self.signal.grid().split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """All scores but those of the jet, roughly, of f (N, 1) on the signal's grid; infinite where f is never 0."""
        lattice = values.double().cpu().numpy().reshape(self.signal.shape)
        half = self.signal.extent.double().cpu().numpy()
        spacing = [2 * side / (n - 1) for side, n in zip(half[::-1], self.signal.shape, strict=True)]
        try:
            found, faces, *_ = marching_cubes(lattice, 0.0, spacing=spacing)
        except (ValueError, RuntimeError):  # 0 is not among the values
            found, faces = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
        # (z, y, x) to (x, y, z) turns faces inside out; scikit-image's look to where f falls, which is inside
        mesh = found[:, ::-1].astype(np.float64) - half, faces.astype(np.int64)
        if self._few is None:
            self._few = self.truth.sample(_FEW, np.random.default_rng(0))
        scores = self._compared(mesh, self._few, _FEW)
        if self.shape.closed:
            if self._inside is None:
                axes = [np.linspace(-side, side, n) for side, n in zip(half, reversed(self.signal.shape), strict=True)]
                self._inside = self._occupied(*axes).transpose(2, 1, 0)
            scores["iou"] = _iou(self._inside, lattice < 0)
        return scores

    def final(self, field: CoordinateMLP) -> Scores:
        """All scores, from a fine mesh and `samples` of each surface."""
        half = self.signal.extent.double().cpu().numpy()
        try:
            self._mesh = extract_field(field, -half, half, self.resolution)
        except UserError:  # no surface: what is scored says so
            self._mesh = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
        scores = self._compared(self._mesh, self.truth.sample(self.samples, np.random.default_rng(1)), self.samples)
        if self.shape.closed:
            shift = np.random.default_rng(2).random(3)  # no line passes an edge of a symmetric shape
            counts = (_LINES, _LINES, _ALONG)
            axes = [(2 * (np.arange(n) + s) / n - 1) * side for n, s, side in zip(counts, shift, half, strict=True)]
            lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
            value = _jet(field, torch.from_numpy(lattice.reshape(-1, 3)), 0).value.reshape(counts)
            scores["iou"] = _iou(self._occupied(*axes), value.double().cpu().numpy() < 0)
        near, anywhere = (cast("Any", self.shape.sets[name]).x[:_NEAR] for name in ("near", "anywhere"))
        gradient = _jet(field, near, 1).gradient
        assert gradient is not None
        scores["eikonal_error"] = (gradient.flatten(1).norm(dim=1) - 1).abs().mean().item()
        if self.shape.exact:
            off = _jet(field, anywhere, 0).value.to(anywhere) - self.shape.jet(anywhere, 0).value
            scores["distance_error"] = off.abs().mean().item() / self.shape.unit
        return scores

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """mesh.ply, in the file's own coordinates, views.png of it, and slices.png of f and |grad f| - 1."""
        if self._mesh is None:
            self.final(field)
        assert self._mesh is not None
        vertices, faces = self._mesh
        half = self.signal.extent.double().cpu().numpy()
        known = [score for score in self.shown if scores.get(score.key) is not None]
        caption = ", ".join(f"{score.name} {score.text(scores[score.key])}" for score in known[:5])
        exact = (lambda x: self.shape.jet(x.to(self.signal.extent), 0).value) if self.shape.exact else None
        files = {"slices": folder / "slices.png"}
        drawn = slices(lambda x, order: _jet(field, x, order), -half, half, caption, exact)
        write_atomically(files["slices"], drawn)
        if len(faces):
            files = {"views": folder / "views.png", **files, "mesh": folder / "mesh.ply"}
            write_atomically(files["views"], views(vertices, faces))
            write_mesh(files["mesh"], self.shape.to_file(vertices), faces)
        return {name: path for name, path in files.items() if path.suffix == ".png"}

    def _compared(
        self, mesh: tuple[np.ndarray, np.ndarray], true: tuple[np.ndarray, np.ndarray | None], count: int
    ) -> Scores:
        """The scores of a mesh by its distances from the truth, and back from points and normals of the truth."""
        vertices, faces = mesh
        unknown: Scores = {score.key: None for score in self.shown}
        if not len(faces):
            worst = dict.fromkeys(("chamfer", "hausdorff", "chamfer_squared"), math.inf)
            return {**unknown, **worst, "components": 0}
        fit = Mesh(vertices, faces)
        x, normals = fit.sample(count, np.random.default_rng(3))
        there, back = self.truth.nearest(x), fit.nearest(true[0])
        a, b = there.distance / self.shape.unit, back.distance / self.shape.unit
        alike = [_alike(normals, there.normal), _alike(true[1], back.normal)]
        return {
            **unknown,
            "chamfer": float(a.mean() + b.mean()) / 2,
            "hausdorff": float(max(a.max(), b.max())),
            "normal_consistency": None if None in alike else sum(cast("list[float]", alike)) / 2,
            "components": len(components(vertices, faces)[1]),
            "chamfer_squared": float(np.square(a).mean() + np.square(b).mean()),
        }

    def _occupied(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(X, Y, Z) of bool, which points of a lattice the truth has inside."""
        if isinstance(self.truth, Mesh):
            return occupied(self.truth, x, y, z)
        lattice = torch.from_numpy(np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3))
        values = torch.cat([self.shape.jet(part, 0).value for part in lattice.split(BLOCK)])
        return values.reshape(len(x), len(y), len(z)).numpy() < 0


def _jet(field: CoordinateMLP, x: Tensor, order: int) -> Jet:
    """The field's jet, without a graph, in batches and in its own precision."""
    like = next(field.parameters())
    with torch.no_grad():
        jets = [field.jet(part.to(like), order) for part in x.split(_BATCH)]
    return Jet(*(torch.cat(parts) for parts in zip(*(jet.parts for jet in jets), strict=True)))


def _alike(one: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """mean |n . m| of unit normals (N, 3)."""
    return None if one is None or other is None else float(np.abs((one * other).sum(axis=1)).mean())


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
