"""A volume: PSNR on its samples and between them, and what is to be seen: slices, projections, an isosurface."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np
from torch import Tensor

from sinefield.errors import require
from sinefield.evaluation.base import Score, Scores
from sinefield.evaluation.dense import MOST, DenseEvaluation
from sinefield.evaluation.film_pictures import sheet
from sinefield.evaluation.mesh_files import write_mesh
from sinefield.evaluation.png import write_png
from sinefield.evaluation.surface_pictures import views
from sinefield.fields.mlp import CoordinateMLP
from sinefield.losses.base import Loss
from sinefield.report.colours import error_picture, rms, value_picture
from sinefield.signals.base import Signal
from sinefield.signals.volume import Volume
from sinefield.system.files import write_atomically

_log = logging.getLogger(__name__)
_AXES = ("z", "y", "x")  # of arrays


class VolumeScores(DenseEvaluation):
    """Compares a field with a volume.

    Args:
        signal, loss: as of `Evaluation`.
        level: the value of the isosurface, from -1 to 1.

    Raises:
        UserError: the signal is no volume.
    """

    shown = (
        Score("psnr", "PSNR on the samples", "dB"),
        Score("psnr_off_grid", "PSNR between the samples", "dB"),
        Score("psnr_off_grid_spline", "  of the spline", "dB", direction=""),
    )

    def __init__(self, signal: Signal, loss: Loss, level: float = 0.0) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Volume), "evaluation=volume is for volumes; take signal=volume")
        assert isinstance(signal, Volume)
        self.volume, self.level = signal, float(level)

    def sets(self, odd: Sequence[Tensor]) -> dict[str, Tensor]:
        """Samples, and all that lies between."""
        between = reduce(or_, odd)
        return {"psnr": ~between, "psnr_off_grid": between}

    def references(self) -> Scores:
        """The spline through the samples at the points scored during a run; None where no voxels are held out."""
        if self.dense.step == 1 or not self.dense.has_spline:
            return {"psnr_off_grid_spline": None}
        numbers = self.numbers(2**17)
        truth = self.dense.known(numbers)
        x = self.signal.lattice(numbers, self.dense.step)
        values = [self.signal.interpolated(part) for part in x.flatten(0, -2).split(2**14)]
        error = np.concatenate([value.cpu().numpy() for value in values]).reshape(truth.shape) - truth.cpu().numpy()
        return {"psnr_off_grid_spline": self._psnr(self._sums(numbers, truth.new_tensor(error), None))["psnr_off_grid"]}

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """slices.png, projections.png, contact_sheet.png of both, the middle slice, mesh.ply and surface.png."""
        if self.field_values is None:
            self.final(field)
        numbers = self.numbers(MOST)
        values = self.field_values
        assert values is not None
        truth = self.dense.known(numbers).cpu().numpy()
        worst = max(1e-5, float(np.percentile(rms(values - truth), 99.5)))
        known = [score for score in self.shown if scores.get(score.key) is not None]
        caption = ", ".join(f"{score.name.strip()} {score.text(scores[score.key])}" for score in known)
        middle = [n // 2 // 2 * 2 for n in truth.shape[:3]]
        cuts = {f"{name} = middle": (axis, middle[axis]) for axis, name in enumerate(_AXES)}
        upright = {name: lambda a, axis=axis, k=k: np.take(a, k, axis)[::-1] for name, (axis, k) in cuts.items()}
        largest = {f"largest along {name}": lambda a, axis=axis: a.max(axis)[::-1] for axis, name in enumerate(_AXES)}
        files: dict[str, Path] = {}  # rows run upwards, as y and z do
        for stem, pictures in (("slices", upright), ("projections", largest), ("contact_sheet", upright | largest)):
            rows = {"signal": [], "field": [], "error": []}  # type: ignore[var-annotated]
            for made in pictures.values():
                one, other = made(truth), made(values)
                rows["signal"].append(value_picture(one))
                rows["field"].append(value_picture(other))
                rows["error"].append(error_picture(other - one, worst))
            files[stem] = folder / f"{stem}.png"
            said = f"{caption}\nblack to white: -1 to 1; error: black to yellow 0 to {worst:.3g}"
            shaped = {name: [self._stretched(p, k % 3) for k, p in enumerate(row)] for name, row in rows.items()}
            write_atomically(files[stem], sheet(shaped, list(pictures), said))
        for name, (one, words) in {
            "ground_truth": (value_picture(truth[middle[0]]), "the slice in the middle"),
            "reconstruction": (value_picture(values[middle[0]]), "the slice in the middle, of the field"),
            "error": (
                error_picture(values[middle[0]] - truth[middle[0]], worst),
                f"|field - signal|, 0 to {worst:.3g}",
            ),
        }.items():
            files[name] = folder / f"{name}.png"
            write_png(files[name], one[::-1], words)
        if values.min() < self.level < values.max():
            vertices, faces = self.surface(values[..., 0], numbers)
            files["mesh"], files["surface"] = folder / "mesh.ply", folder / "surface.png"
            write_mesh(files["mesh"], self.volume.to_file(vertices), faces)
            write_atomically(files["surface"], views(vertices, faces, up=2))
        else:
            _log.warning("the field is nowhere %g; evaluation.level sets the value of the isosurface", self.level)
        return files

    def surface(self, values: np.ndarray, numbers: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) in coordinates and faces (F, 3) of values (d, h, w) = level, outward where they fall."""
        from skimage import measure  # noqa: PLC0415  a second to import

        places, faces, _, _ = measure.marching_cubes(values.transpose(2, 1, 0), self.level, gradient_direction="ascent")
        every = [float(n[1] - n[0]) / self.dense.step for n in reversed(numbers)]
        extent = self.signal.extent.double().cpu().numpy()
        return places * (np.array(every) * self.signal.spacings) - extent, faces.astype(np.int64)

    def _stretched(self, picture: np.ndarray, axis: int) -> np.ndarray:
        """A slice across an axis with pixels repeated so that they are nearly square in space."""
        rows, columns = (self.signal.spacings[2 - d] for d in range(3) if d != axis)
        down, across = (max(1, min(8, round(side / min(rows, columns)))) for side in (rows, columns))
        return picture.repeat(down, axis=0).repeat(across, axis=1)
