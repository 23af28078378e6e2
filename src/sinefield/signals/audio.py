"""A sound: the spline through its samples over time, with exact derivatives at any coordinate.

The coordinate is time, x = -1 at the first sample and 1 at the last. Values are amplitudes over the largest one, so
they lie in [-1, 1]. The spline is even about the first and the last sample, as ``scipy.ndimage`` extends it.

Source: Unser, Splines: a perfect fit for signal and image processing (1999).
"""

from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy import ndimage
from scipy import signal as processing
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import UserError, integer, positive, require
from sinefield.signals import spline
from sinefield.signals.base import Signal

MOST = 2**22  # samples, 95 s at 44.1 kHz: of more, neighbours in [-1, 1] are too close for single precision
_RATE = 22050  # of the sound that is composed here, in Hz


class Audio(Signal):
    """A sound file as a continuous function of time, one channel for mono and two for stereo.

    Args:
        path: what libsndfile reads, such as WAV, FLAC, OGG and MP3; None for a sound that is composed here.
        holdout: keep every second sample as the truth to score on, and train on the others.
        start, seconds: the part that is taken, from the beginning of the file; None for all the rest.
        mono: take the mean of the channels.
        size: samples to train on at most; a sound of more is resampled. None for all.
        degree: p of the spline, 3 or 5.

    Attributes:
        rate: samples per second, those between included.
        amplitude: of the file, where the value is 1.
        seconds: from the first sample to the last.

    Raises:
        UserError: the file cannot be read as a sound, is silent, not finite, too short or too long.
    """

    c: Tensor

    def __init__(
        self,
        path: str | Path | None = None,
        holdout: bool = False,
        start: float = 0.0,
        seconds: float | None = None,
        mono: bool = False,
        size: int | None = None,
        degree: int = 3,
    ) -> None:
        require(integer("signal.degree", degree, least=3) in (3, 5), f"signal.degree must be 3 or 5, not {degree}")
        name = "the composed sound" if path is None else str(path)
        samples, rate = (composed(), float(_RATE)) if path is None else _read(path)
        samples = _part(samples, rate, start, seconds, name)
        require(bool(np.isfinite(samples).all()), f"{name} holds samples that are not finite numbers; mend the file")
        if mono:
            samples = samples.mean(axis=1, keepdims=True)
        step = 2 if holdout else 1
        if size is not None:
            wanted = step * (integer("signal.size", size, least=degree + 1) - 1) + 1
            if wanted < len(samples):
                samples, rate = _resampled(samples, wanted), rate * wanted / len(samples)
        least = step * degree + 1
        cure = "take more of it, signal.start and signal.seconds"
        require(len(samples) >= least, f"{name}: {len(samples)} samples are too few, {least} are needed; {cure}")
        # with some held out an odd number, so that the samples are the first and the last of those between
        samples = samples[: (len(samples) - 1) // step * step + 1]
        count = len(samples[::step])
        cure = "take a part, signal.start and signal.seconds, or resample it, signal.size"
        require(count <= MOST, f"{name}: {count:,} samples are too many, {MOST:,} at most; {cure}")
        loudest = float(np.abs(samples).max())
        require(loudest > 0, f"{name} is silent throughout; take another part or another file")
        values = samples / loudest
        known = values[::step]
        require(bool(known.any()), f"{name} is silent at every second sample; take signal.holdout=false")
        super().__init__((count,), known.shape[1])
        self.degree, self.amplitude, self.rate = degree, loudest, rate
        self.seconds = (len(values) - 1) / rate
        self.files = () if path is None else (str(path),)
        filtered = ndimage.spline_filter1d(known, order=degree, axis=0, mode="mirror")
        filtered = np.pad(filtered, ((degree // 2, degree // 2), (0, 0)), mode="reflect")
        self.register_buffer("c", torch.from_numpy(filtered).to(self.extent))
        self.fine = torch.from_numpy(values.copy()).to(self.extent) if holdout else None

    def coordinates(self, pixels: Tensor) -> Tensor:
        """(N, 1) coordinates of positions (N, 1) in samples, rounded once."""
        return (pixels.double() * self.spacing - 1).to(pixels.dtype)

    def pixels(self, x: Tensor) -> Tensor:
        """(N, 1) positions in samples of coordinates x (N, 1), in double precision.

        A coordinate that is rounded away from a sample, or from the middle between two, means that one.
        """
        u = (x.double() + 1) / self.spacing
        nearest = (2 * u).round() / 2
        off = (nearest - u).detach()
        rounding = torch.finfo(x.dtype).eps / 2 / self.spacing
        return u + torch.where(off.abs() <= rounding, off, 0.0)

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, 1) and Laplacian (N, C) at coordinates x (N, 1), as deep as `order` asks."""
        return spline.evaluate(self.c, self.pixels(x), self.degree, order, self.spacing)


def composed(seconds: float = 3.0, rate: int = _RATE) -> np.ndarray:
    """(n, 1) samples of a broken chord of plucked strings: harmonics decay the sooner the higher; and some noise."""
    time = np.arange(round(seconds * rate)) / rate
    sound = 2e-3 * np.random.default_rng(0).standard_normal(len(time))
    for k, pitch in enumerate((146.83, 220.0, 293.66, 349.23, 440.0, 349.23, 293.66, 587.33)):  # Hz: D minor
        after = time - k * seconds / 9
        for n in range(1, 13):
            stretched = n * pitch * (1 + 2e-4 * n**2) ** 0.5  # a stiff string
            swell = np.exp(-after.clip(min=0) * (1.5 + 0.6 * n)) * (1 - np.exp(-after.clip(min=0) / 4e-3))
            sound += (stretched < 0.45 * rate) * swell * np.sin(2 * np.pi * stretched * after + n) / n
    return sound[:, None]


def _read(path: str | Path) -> tuple[np.ndarray, float]:
    """All samples of a file, (n, C) in double precision, and its rate."""
    require(Path(path).exists(), f"there is no {path}; give a sound file, signal.path=x.wav")
    require(Path(path).is_file(), f"{path} is no file; give a sound file, signal.path=x.wav")
    try:
        samples, rate = soundfile.read(str(path), dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        reason = " ".join(str(error).split()).rpartition(": ")[2]
        raise UserError(f"{path} cannot be read as a sound ({reason}); convert it to WAV, FLAC, OGG or MP3") from error
    require(len(samples) > 0, f"{path} is empty: no samples in it; give another sound")
    return samples, rate


def _part(samples: np.ndarray, rate: float, start: float, seconds: float | None, name: str) -> np.ndarray:
    length = len(samples) / rate
    start = positive("signal.start", start) if start != 0 else 0.0
    require(start < length, f"signal.start={start:g} is behind the end of {name}, which has {length:.3f} seconds")
    first = round(start * rate)
    return samples[first : None if seconds is None else first + round(positive("signal.seconds", seconds) * rate)]


def _resampled(samples: np.ndarray, count: int) -> np.ndarray:
    """`count` samples (count, C) in place of (n, C), band-limited; continued as in a mirror beyond both ends."""
    both = np.concatenate([samples, samples[::-1]])
    return np.asarray(processing.resample(both, 2 * count, axis=0)[:count])
