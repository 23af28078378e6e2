"""How good a sound is: signal-to-noise ratios, and what is to be seen and heard of the fit.

    SNR = 10 log10(sum s^2 / sum (f - s)^2) dB      MSE = mean (f - s)^2

Sums and means are over samples and channels; s is scaled to amplitude 1. All of the error counts: the zero of a sound
is a part of it, so nothing that a loss leaves free is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.errors import require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.sound_pictures import spectrograms, waveforms
from sinefield.signals.audio import Audio
from sinefield.system.files import atomic_write, write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal


class Sound(Evaluation):
    """Compares a field with a sound at its samples, and between them where every second one is held out.

    Raises:
        UserError: the signal is no `Audio`.
    """

    shown = (
        Score("snr", "SNR on the samples", "dB"),
        Score("snr_off_grid", "SNR between the samples", "dB"),
        Score("mse", "mean squared error", digits=-1, direction="min"),
        Score("snr_off_grid_spline", "SNR of a spline between the samples", "dB", direction=""),
    )

    def __init__(self, signal: Signal, loss: Loss) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Audio), "evaluation=sound is for sounds; take signal=audio")
        assert isinstance(signal, Audio)
        self.sound = signal

    def points(self) -> Sequence[Tensor]:
        """The samples' times, and those between where they are known, in blocks (N, 1)."""
        return self.signal.grid(upsampling=self._step).split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """snr, snr_off_grid in dB and mse of the field's values (N, C) at all the points."""
        truth, step = self._truth(), self._step
        error = values.to(truth) - truth
        return {
            "snr": _snr(truth[::step], error[::step]),
            "snr_off_grid": _snr(truth[1::2], error[1::2]) if step == 2 else None,
            "mse": error[::step].double().square().mean().item(),
        }

    def references(self) -> Scores:
        """How well the spline through the samples meets those between; None where none are held out."""
        if self.signal.held_out_grid() is None:
            return {"snr_off_grid_spline": None}
        values = torch.cat([self.signal.jet(x, 0).value for x in self.points()])
        return {"snr_off_grid_spline": self.scores(values)["snr_off_grid"]}

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """waveform.png, spectrogram.png, ground_truth.wav and reconstruction.wav, at the file's amplitude and rate."""
        field.to(self.signal.extent.device)
        dtype = next(field.parameters()).dtype
        with torch.no_grad():
            fitted = torch.cat([field(x.to(dtype)) for block in self.points() for x in block.split(8192)])
        truth, value = (part.double().cpu().numpy() for part in (self._truth(), fitted))
        known = [score for score in self.shown if scores.get(score.key) is not None]
        caption = ", ".join(f"{score.name} {score.text(scores[score.key])}" for score in known)
        sounds = {"ground_truth": truth, "reconstruction": value}
        files = {name: folder / f"{name}.png" for name in ("waveform", "spectrogram")}
        files |= {name: folder / f"{name}.wav" for name in sounds}
        write_atomically(files["waveform"], waveforms(truth, value, self.sound.rate, caption))
        write_atomically(files["spectrogram"], spectrograms(truth, value, self.sound.rate, caption))
        for name, sound in sounds.items():
            write_sound(files[name], sound * self.sound.amplitude, self.sound.rate)
        return files

    @property
    def _step(self) -> int:
        """From sample to sample among the points."""
        return 1 if self.signal.held_out_grid() is None else 2

    def _truth(self) -> Tensor:
        """(N, C) at all the points."""
        fine = self.signal.held_out_grid()
        return self.signal.samples().value if fine is None else fine


def write_sound(path: Path, samples: np.ndarray, rate: float) -> None:
    """A WAV file of samples (N, C), 1 for full scale, in 32-bit floating point, in which nothing is clipped.

    The rate, in Hz, is rounded, as WAV has whole ones.
    """
    with atomic_write(path) as file:
        soundfile.write(file, samples.astype(np.float32), max(1, round(rate)), format="WAV", subtype="FLOAT")


def _snr(truth: Tensor, error: Tensor) -> float | None:
    """dB; infinite where there is no error, None where there is nothing to compare with."""
    power = truth.double().square().sum()
    return 10 * torch.log10(power / error.double().square().sum()).item() if power > 0 else None
