"""How well a medium is recovered from measurements, and what is drawn of it.

    relative L2 = |m - m_true| / |m_true|      RMS = sqrt(mean (m - m_true)^2)      data misfit = |d - d_obs| / |d_obs|

Norms are over the nodes of the model, in its own unit, and over all data.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.errors import require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.medium_pictures import curves, models
from sinefield.signals.measured import Measured
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal


class MediumError(Evaluation):
    """Compares the medium that a field stands for with the true one, and its data with those measured.

    Raises:
        UserError: the signal has no measurements.
    """

    shown = (
        Score("medium_relative_l2", "relative error of the medium", digits=4, direction="min"),
        Score("medium_relative_l2_start", "  of the medium at the start", digits=4, direction=""),
        Score("medium_rms", "RMS error of the medium", digits=4, direction="min"),
        Score("data_misfit", "relative misfit of the data", digits=4, direction="min"),
        Score("data_misfit_truth", "  of the true medium", digits=4, direction=""),
    )

    def __init__(self, signal: Signal, loss: Loss) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Measured), "evaluation=medium is for measurements; take signal=inversion")
        assert isinstance(signal, Measured)
        self.measured = signal

    def points(self) -> Sequence[Tensor]:
        """The nodes of the model, in blocks (N, 2)."""
        return self.signal.grid().split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """Of the medium of a field's values (N, 1)."""
        with torch.no_grad():
            medium = self.measured.medium(values)
            return {**self._errors(medium), "data_misfit": self._misfit(medium)}

    def references(self) -> Scores:
        """The error of the medium at the start; how badly the solver explains the data with the true medium."""
        with torch.no_grad():
            start = self._errors(self.measured.start)["medium_relative_l2"]
            return {"medium_relative_l2_start": start, "data_misfit_truth": self._misfit(self.measured.truth)}

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """medium.png, data.png, and medium.npy: the medium (H, W) in its own unit."""
        measured = self.measured
        field.to(measured.extent.device)
        with torch.no_grad():
            values = torch.cat([field(x.to(next(field.parameters()))) for x in self.points()])
            medium = measured.medium(values)
            truth, start, found = (part.double().cpu().numpy() for part in (measured.truth, measured.start, medium))
            middle = torch.tensor([len(measured.sources) // 2])
            data = measured.observed[middle], measured.data(measured.start, middle), measured.data(medium, middle)
            observed, first, last = (part[0].double().cpu().numpy() for part in data)
        known = [score for score in self.shown if scores.get(score.key) is not None]
        caption = ", ".join(f"{score.name.strip()} {score.text(scores[score.key])}" for score in known)
        sources, receivers = measured.sources.cpu().numpy(), measured.receivers.cpu().numpy()
        files = {name: folder / f"{name}.png" for name in ("medium", "data")}
        write_atomically(files["medium"], models(truth, start, found, sources, receivers, caption))
        write_atomically(files["data"], curves(observed, first, last, caption))
        stream = BytesIO()
        np.save(stream, found)
        write_atomically(folder / "medium.npy", stream.getvalue())
        return files

    def _errors(self, medium: Tensor) -> Scores:
        error, truth = (medium - self.measured.truth).double(), self.measured.truth.double()
        return {
            "medium_relative_l2": (error.norm() / truth.norm()).item(),
            "medium_rms": error.square().mean().sqrt().item(),
        }

    def _misfit(self, medium: Tensor) -> float:
        observed = self.measured.observed.double()
        return ((self.measured.data(medium).double() - observed).norm() / observed.norm()).item()
