"""A picture: PSNR and SSIM on the samples, PSNR between them where the truth is known, and what is drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.core.jet import BLOCK, Jet, joined
from sinefield.errors import require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.metrics import score
from sinefield.report.pictures import View, write_pictures

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal


class Picture(Evaluation):
    """Compares at the evaluation grid: the samples, and the points between where the signal knows them.

    Scores leave out what the loss cannot see; `psnr_raw` leaves out nothing.

    Raises:
        UserError: the signal is no picture of one or three channels.
    """

    shown = (
        Score("psnr", "PSNR on samples", "dB"),
        Score("psnr_off_grid", "PSNR between", "dB"),
        Score("psnr_off_grid_spline", "  of the spline", "dB", direction=""),
        Score("psnr_off_grid_prior", "  of the prior", "dB", direction=""),
        Score("ssim", "SSIM", digits=4),
    )

    def __init__(self, signal: Signal, loss: Loss) -> None:
        super().__init__(signal, loss)
        kind = f"{signal.dims} dimensions and {signal.channels} channels"
        drawn = signal.dims == 2 and signal.channels in (1, 3)
        require(drawn, f"the signal has {kind}; evaluation=picture takes 2 dimensions and 1 (grey) or 3 (colour)")

    def truth(self) -> tuple[Tensor, int]:
        """The values on the evaluation grid (H', W', C), and its upsampling: 2 where the truth between is known."""
        fine = self.signal.held_out_grid()
        if fine is not None:
            return fine, 2
        return self.signal.samples().value.unflatten(0, self.signal.evaluation_grid().shape[:-1]), 1

    def points(self) -> Sequence[Tensor]:
        """The points of the evaluation grid, (N, 2), in blocks."""
        upsampling = 1 if self.signal.held_out_grid() is None else 2
        return self.signal.evaluation_grid(upsampling).flatten(0, -2).split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """psnr, psnr_raw, psnr_off_grid and ssim, as `metrics.score` has them."""
        truth, upsampling = self.truth()
        return score(values.to(truth.dtype).reshape(truth.shape), truth, upsampling, self.loss.unseen)

    def references(self) -> Scores:
        """What the plain spline and the signal's prior make of the points between; None where there are none."""
        truth, prior = self.signal.held_out_grid(), self.signal.prior

        def between(function: Callable[[Tensor], Tensor]) -> float | None:
            if truth is None:
                return None
            values = torch.cat([function(x) for x in self.points()]).reshape(truth.shape)
            return score(values, truth, 2, torch.zeros_like)["psnr_off_grid"]

        return {
            "psnr_off_grid_spline": between(self.signal.interpolated),
            "psnr_off_grid_prior": between(lambda x: self.signal.jet(x, 0).value) if prior else None,
        }

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """Signal and field at the samples scored, the field less what its loss leaves free, and the contact sheet."""
        signal = self.signal
        grid = signal.evaluation_grid()
        with torch.no_grad():
            truth = signal.samples(order=2)
            fitted = joined([field.jet(x, order=2) for x in grid.flatten(0, -2).split(8192)])  # of bounded memory
        free = self.loss.unseen((fitted.value - truth.value).unflatten(0, grid.shape[:-1]))
        fitted = fitted._replace(value=fitted.value - free.flatten(0, 1))
        inputs = {name: picture.double().cpu().numpy() for name, picture in signal.extras().items()}
        caption = self._caption(field, scores, bool(free.any()))
        paths = write_pictures(folder, _view(truth, grid.shape[:-1]), _view(fitted, grid.shape[:-1]), caption, inputs)
        return {path.stem: path for path in paths}

    def _caption(self, field: CoordinateMLP, scores: Scores, some_is_free: bool) -> str:
        decibels = {name: f"{value:.2f} dB" for name, value in scores.items() if value is not None}
        names = f"loss on {', '.join(self.loss.terms)}, {type(field.activation).__name__} activation"
        seen = "the samples" if self.signal.every == 1 else f"one in {self.signal.every}² samples"
        caption = f"{names}: PSNR {decibels['psnr']} on {seen}"
        if "psnr_off_grid" in decibels:
            caption += f", {decibels['psnr_off_grid']} between them"
        if some_is_free:
            caption += f" (less what the loss leaves free; {decibels['psnr_raw']} as it is)"
        return caption


def _view(jet: Jet, shape: tuple[int, ...]) -> View:
    """A jet of order 2 at the samples as the arrays that are drawn, (H, W, C) and (H, W, C, D)."""
    assert jet.gradient is not None
    assert jet.laplacian is not None
    parts = (jet.value, jet.gradient, jet.laplacian)
    return View(*(part.double().unflatten(0, shape).cpu().numpy() for part in parts))
