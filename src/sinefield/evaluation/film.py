"""A film: PSNR on its samples, between its pixels and between its frames, against two rivals; and what is to be seen.

The frames between those trained on are compared at the pixels trained on, where the rivals know their neighbours: the
mean of the two beside each, and the cubic spline along time through all of them, not-a-knot at both ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sinefield.errors import require
from sinefield.evaluation.base import Score, Scores
from sinefield.evaluation.dense import MOST, DenseEvaluation
from sinefield.evaluation.film_pictures import sheet
from sinefield.evaluation.films import write_film
from sinefield.evaluation.png import write_png
from sinefield.fields.mlp import CoordinateMLP
from sinefield.losses.base import Loss
from sinefield.report.colours import error_picture, rms, value_picture
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.signals.video import Video
from sinefield.system.files import write_atomically

_SHOWN = 6  # frames on the sheet
_ROWS = 2**18  # numbers of frames whose spline along time is made at once


class Film(DenseEvaluation):
    """Compares a field with a film.

    Raises:
        UserError: the signal is no film.
    """

    whole = 1
    shown = (
        Score("psnr", "PSNR on the samples", "dB"),
        Score("psnr_off_grid", "PSNR between the pixels", "dB"),
        Score("psnr_between_frames", "PSNR between the frames", "dB"),
        Score("psnr_between_frames_blend", "  of a blend of neighbours", "dB", direction=""),
        Score("psnr_between_frames_cubic", "  of a cubic spline in time", "dB", direction=""),
    )

    def __init__(self, signal: Signal, loss: Loss) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Video), "evaluation=film is for films; take signal=video")
        assert isinstance(signal, Video)
        self.video = signal

    def described(self) -> dict[str, Any]:
        """The scores, and what a rendering needs to know of the film."""
        axes, shape = self.signal.axes, self.signal.shape
        film = {
            "extent": self.signal.extent.tolist(),  # half of each axis, in units of coordinate
            "spacing": self.signal.spacings[0],  # of the pixels trained on
            "samples": list(reversed(shape)),  # along x, y and time
            "seconds": axes[-1].length,
            "rate": self.video.rate,
        }
        return {**super().described(), "film": film}

    def sets(self, odd: Sequence[Tensor]) -> dict[str, Tensor]:
        """Samples; pixels between those of the frames trained on; their places in the frames between."""
        time, between = odd[0], odd[1] | odd[2]
        return {
            "psnr": ~time & ~between,
            "psnr_off_grid": ~time & between,
            "psnr_between_frames": time & ~between,
        }

    def references(self) -> Scores:
        """The rivals between the frames; None where no frames are held out."""
        if self.dense.step == 1:
            return {"psnr_between_frames_blend": None, "psnr_between_frames_cubic": None}
        frames, rows, columns = self.numbers(MOST)
        columns, rows = columns[columns % 2 == 0], rows[rows % 2 == 0]
        total, count, cubic = 0.0, 0, 0.0
        for some in rows.split(max(1, _ROWS // (len(frames) * len(columns)))):
            truth = self.dense.known([frames, some, columns]).double()
            before, held = truth[::2], truth[1::2]
            total += ((before[1:] + before[:-1]) / 2 - held).square().sum().item()
            along = spline.refined(before.flatten(1).cpu().numpy())[1::2]
            cubic += float(np.square(along - held.flatten(1).cpu().numpy()).sum())
            count += held.numel() // self.signal.channels
        sums = {"blend": total, "cubic": cubic}
        found = self._psnr({name: (value, count * self.signal.channels) for name, value in sums.items()})
        return {f"psnr_between_frames_{name}": value for name, value in found.items()}

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """reconstruction.mp4, comparison.mp4 (truth, field, error), frame pictures and the contact sheet of some."""
        if self.field_values is None:
            self.final(field)
        frames, *_ = numbers = self.numbers(MOST)
        values, step = self.field_values, self.dense.step
        assert values is not None
        which = np.linspace(0, len(frames) - 1, _SHOWN).round().astype(int)
        which[1::2] = which[1::2] // step * step + step - 1  # held out, where some are
        which = np.unique(which.clip(max=len(frames) - 1))
        truth = np.concatenate([self._truth(numbers, k) for k in which])
        worst = max(1e-5, float(np.percentile(rms(values[which] - truth), 99.5)))
        caption = ", ".join(
            f"{s.name.strip()} {s.text(scores[s.key])}" for s in self.shown if scores.get(s.key) is not None
        )

        def shown() -> Iterator[np.ndarray]:
            for k, value in enumerate(values):
                known = self._truth(numbers, k)[0]
                parts = (value_picture(known), value_picture(value), error_picture(value - known, worst))
                yield np.concatenate(parts, axis=1)

        files = {name: folder / f"{name}.mp4" for name in ("reconstruction", "comparison")}
        write_film(files["reconstruction"], map(value_picture, values), self.video.rate)
        write_film(files["comparison"], shown(), self.video.rate)
        middle = len(frames) // 2 // step * step + step - 1  # held out, where some are
        middle = min(middle, len(frames) - 1)
        known = self._truth(numbers, middle)[0]
        pictures = {
            "ground_truth": (value_picture(known), "the frame in the middle"),
            "reconstruction_frame": (value_picture(values[middle]), "the frame in the middle, of the field"),
            "error": (
                error_picture(values[middle] - known, worst),
                f"|field - signal|, RMS over channels, 0 to {worst:.3g}",
            ),
        }
        for name, (picture, words) in pictures.items():
            files[name] = folder / f"{name}.png"
            write_png(files[name], picture, words)
        titles = [f"{k / self.video.rate:.2f} s{', held out' if k % step else ''}" for k in which]
        rows = {
            "signal": [value_picture(frame) for frame in truth],
            "field": [value_picture(values[k]) for k in which],
            "error": [error_picture(values[k] - frame, worst) for k, frame in zip(which, truth, strict=True)],
        }
        files["contact_sheet"] = folder / "contact_sheet.png"
        write_atomically(
            files["contact_sheet"], sheet(rows, titles, f"{caption}\nerror: black to yellow 0 to {worst:.3g}")
        )
        return files

    def _truth(self, numbers: Sequence[Tensor], frame: int) -> np.ndarray:
        """(1, H, W, C) of one of the frames."""
        return self.dense.known([numbers[0][frame : frame + 1], *numbers[1:]]).cpu().numpy()
