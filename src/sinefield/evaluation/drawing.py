"""From a fitted module to the pictures of its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sinefield.core.jet import Jet, joined
from sinefield.report.pictures import View, write_pictures

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal


def draw(
    folder: Path, signal: Signal, field: CoordinateMLP, loss: Loss, scores: dict[str, float | None]
) -> dict[str, Path]:
    """Write the run's pictures: signal and field at the samples scored, the field less what its loss leaves free."""
    field.to(signal.extent.device)  # Lightning takes it back to the CPU after a fit
    signal.to(field.head.weight.dtype)
    truth, found = signal.samples(order=2), sampled(field, signal)
    shape = (*signal.evaluation_grid().shape[:-1], signal.channels)
    free = loss.unseen((found.value - truth.value).reshape(shape))
    found = found._replace(value=found.value - free.flatten(0, 1))
    decibels = {name: f"{value:.2f} dB" for name, value in scores.items() if value is not None}
    names = f"loss on {', '.join(loss.terms)}, {type(field.activation).__name__} activation"
    seen = "the samples" if signal.every == 1 else f"one in {signal.every}² samples"
    caption = f"{names}: PSNR {decibels['psnr']} on {seen}"
    if "psnr_off_grid" in decibels:
        caption += f", {decibels['psnr_off_grid']} between them"
    if free.any():
        caption += f" (less what the loss leaves free; {decibels['psnr_raw']} as it is)"
    inputs = {name: picture.double().cpu().numpy() for name, picture in signal.extras().items()}
    paths = write_pictures(folder, _view(truth, shape), _view(found, shape), caption, inputs)
    return {path.stem: path for path in paths}


@torch.no_grad()
def sampled(field: CoordinateMLP, signal: Signal) -> Jet:
    """The field's jet of order 2 at the samples scored, in blocks of bounded memory."""
    jets = [field.jet(x, order=2) for x in signal.evaluation_grid().flatten(0, -2).split(8192)]
    return joined(jets)


def _view(jet: Jet, shape: tuple[int, ...]) -> View:
    """A jet of order 2 at the samples as the arrays that are drawn, (H, W, C) and (H, W, C, D)."""
    value, gradient, laplacian = (part.double().cpu().numpy() for part in jet.parts)
    return View(value.reshape(shape), gradient.reshape(*shape, -1), laplacian.reshape(shape))
