"""The grid on which a field is compared with its signal: the samples, and the points between where they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.evaluation.metrics import score

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.signals.base import Signal


def truth(signal: Signal) -> tuple[Tensor, int]:
    """The values on the evaluation grid (H', W', C), and its upsampling: 2 where the truth between is known."""
    fine = signal.held_out_grid()
    if fine is not None:
        return fine, 2
    return signal.samples().value.unflatten(0, signal.evaluation_grid().shape[:-1]), 1


def interpolated(signal: Signal) -> float | None:
    """The PSNR in dB of the signal itself between the samples: what a spline through them makes of the rest.

    None where nothing is known between the samples.
    """
    known, upsampling = truth(signal)
    if upsampling == 1:
        return None
    values = torch.cat([signal.jet(x, 0).value for x in evaluated(signal, upsampling)]).reshape(known.shape)
    return score(values, known, upsampling, torch.zeros_like)["psnr_off_grid"]


def evaluated(signal: Signal, upsampling: int) -> tuple[Tensor, ...]:
    """The points of the evaluation grid, (N, D), in blocks."""
    return signal.evaluation_grid(upsampling).flatten(0, -2).split(BLOCK)
