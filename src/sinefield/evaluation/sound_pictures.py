"""Waveforms and spectrograms of a sound, of the field and of the difference, as PNG."""

from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import signal as processing

_COLUMNS = 1200  # of a waveform: a column shows the least and the largest of its samples
_ZOOM = 0.01  # seconds that are magnified
_RANGE = 100.0  # dB below the loudest that a spectrogram shows
_COLOURS = ("#1c7ed6", "#e8590c")  # of the channels, in turn
_STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 9}


@matplotlib.rc_context(_STYLE)
def waveforms(truth: np.ndarray, value: np.ndarray, rate: float, caption: str) -> bytes:
    """Signal, field and error, the whole of them and where the signal is loudest, as PNG.

    Args:
        truth, value: (N, C) amplitudes of signal and field.
        rate: samples per second.
        caption: the line below.
    """
    figure, axes = _panels(2, caption)
    first, last = loudest(truth, min(len(truth), max(16, round(_ZOOM * rate))))
    limits = [_limit(np.concatenate([truth, value]))] * 2 + [_limit(value - truth)]
    for (whole, part), sound, limit in zip(axes, (truth, value, value - truth), limits, strict=True):
        starts = np.unique(np.linspace(0, len(sound), _COLUMNS, endpoint=False).astype(int))
        low, high = np.minimum.reduceat(sound, starts, axis=0), np.maximum.reduceat(sound, starts, axis=0)
        for channel in range(sound.shape[1]):
            colour = _COLOURS[channel % len(_COLOURS)]
            whole.fill_between(starts / rate, low[:, channel], high[:, channel], color=colour, linewidth=0.4)
            part.plot(np.arange(first, last) / rate, sound[first:last, channel], color=colour, linewidth=0.8)
        whole.set_ylim(-limit, limit)
        part.set_ylim(-limit, limit)
    axes[0][0].set_title("all")
    axes[0][1].set_title(f"{(last - first) / rate * 1000:.0f} ms, where it is loudest")
    return _png(figure)


@matplotlib.rc_context(_STYLE)
def spectrograms(truth: np.ndarray, value: np.ndarray, rate: float, caption: str) -> bytes:
    """Power over time and frequency of signal, field and error, on one scale of dB, as PNG; arguments as above."""
    figure, axes = _panels(1, caption)
    length = min(len(truth), 2 ** max(4, round(np.log2(0.03 * rate))))  # samples of a window, some 30 ms
    loudest_power = 0.0
    for (panel,), sound in zip(axes, (truth, value, value - truth), strict=True):
        frequency, time, power = processing.spectrogram(
            np.nan_to_num(sound), rate, "hann", length, length // 2, axis=0, scaling="spectrum"
        )
        power = power.mean(axis=1)  # over the channels
        loudest_power = loudest_power or max(power.max(), 1e-300)  # of the signal, which comes first
        decibels = 10 * np.log10((power / loudest_power).clip(10 ** (-_RANGE / 10)))
        starts = np.arange(0, len(time), max(1, len(time) // _COLUMNS))  # more windows than pixels: the loudest of some
        decibels = np.maximum.reduceat(decibels, starts, axis=1)
        box = (0.0, len(truth) / rate, frequency[0] / 1000, frequency[-1] / 1000)
        shown = panel.imshow(decibels, "magma", aspect="auto", vmin=-_RANGE, vmax=0.0, origin="lower", extent=box)
        panel.set_ylabel(f"{panel.get_ylabel()}\nkHz")
    figure.colorbar(shown, ax=[row[0] for row in axes], label="dB relative to the signal's loudest")
    return _png(figure)


def loudest(sound: np.ndarray, count: int) -> tuple[int, int]:
    """First and last + 1 of `count` samples in a row whose power is the largest.

    >>> loudest(np.array([[0.0], [1.0], [3.0], [2.0], [0.0]]), 2)
    (2, 4)
    """
    power = np.concatenate([[0.0], np.cumsum(np.square(sound).sum(axis=1))])
    first = int(np.argmax(power[count:] - power[:-count]))
    return first, first + count


def _panels(columns: int, caption: str) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a row for signal, field and error each, which share their times, and a line below."""
    figure = Figure(figsize=(6.0 * columns + 4, 7), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, columns, squeeze=False, sharex="col")
    for row, name in zip(axes, ("signal", "field", "field - signal"), strict=True):
        row[0].set_ylabel(name)
    for panel in axes[-1]:
        panel.set_xlabel("seconds")
    figure.supxlabel(caption, fontsize=9)
    return figure, [list(row) for row in axes]


def _limit(sound: np.ndarray) -> float:
    return 1.05 * max(np.abs(sound[np.isfinite(sound)]).max(initial=0.0), 1e-6)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
