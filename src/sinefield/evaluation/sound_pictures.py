"""Waveforms and spectrograms of a sound, of the field and of the difference, as PNG."""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import signal as processing

_DPI = 120
_COLUMNS = 1200  # of a waveform: a column shows the least and the largest of its samples
_ZOOM = 0.01  # seconds that are magnified
_RANGE = 100.0  # dB below the loudest that a spectrogram shows
_COLOURS = ("#1c7ed6", "#e8590c")  # of the channels
_ROWS = ("signal", "field", "field - signal")


def waveforms(truth: np.ndarray, value: np.ndarray, rate: float, caption: str) -> bytes:
    """The whole sound, and a place of it where it is loudest: signal, field and error, as PNG.

    Args:
        truth, value: (N, C) amplitudes of signal and field.
        rate: samples per second.
        caption: the line below.
    """
    error = value - truth
    first, last = loudest(truth, min(len(truth), max(16, round(_ZOOM * rate))))
    with _style():
        figure, axes = _panels(2, caption)
        for row, (name, sound) in enumerate(zip(_ROWS, (truth, value, error), strict=True)):
            _envelope(axes[row][0], sound, rate)
            for channel in range(sound.shape[1]):
                times = np.arange(first, last) / rate
                axes[row][1].plot(times, sound[first:last, channel], color=_colour(channel), linewidth=0.8)
            limit = _limit(error if row == 2 else np.concatenate([truth, value]))
            for panel in axes[row]:
                panel.set_ylim(-limit, limit)
            axes[row][0].set_ylabel(name)
        axes[0][0].set_title("all")
        axes[0][1].set_title(f"{(last - first) / rate * 1000:.0f} ms, where it is loudest")
        return _png(figure)


def spectrograms(truth: np.ndarray, value: np.ndarray, rate: float, caption: str) -> bytes:
    """Power over time and frequency of signal, field and error, on one scale of dB, as PNG; arguments as above."""
    error = value - truth
    length = min(len(truth), 2 ** max(4, round(np.log2(0.03 * rate))))  # samples of a window, some 30 ms
    with _style():
        figure, axes = _panels(1, caption)
        loudest_power = None
        for row, (name, sound) in enumerate(zip(_ROWS, (truth, value, error), strict=True)):
            frequency, time, power = processing.spectrogram(
                np.nan_to_num(sound),
                rate,
                window="hann",
                nperseg=length,
                noverlap=length // 2,
                axis=0,
                scaling="spectrum",
            )
            power = power.mean(axis=1)  # over the channels
            loudest_power = power.max() if loudest_power is None else loudest_power
            floor = max(loudest_power, 1e-300) * 10 ** (-_RANGE / 10)
            decibels = 10 * np.log10(np.maximum(power, floor) / max(loudest_power, 1e-300))
            step = max(1, len(time) // _COLUMNS)  # more windows than pixels: the loudest of some
            starts = np.arange(0, len(time), step)
            decibels = np.maximum.reduceat(decibels, starts, axis=1)
            box = (0.0, len(truth) / rate, float(frequency[0]), float(frequency[-1]) / 1000)
            shown = axes[row][0].imshow(
                decibels, origin="lower", aspect="auto", extent=box, cmap="magma", vmin=-_RANGE, vmax=0.0
            )
            axes[row][0].set_ylabel(f"{name}\nkHz")
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


def _envelope(axes: Axes, sound: np.ndarray, rate: float) -> None:
    """Least and largest amplitude in each of some columns, over seconds."""
    starts = np.unique(np.linspace(0, len(sound), _COLUMNS, endpoint=False).astype(int))
    low, high = np.minimum.reduceat(sound, starts, axis=0), np.maximum.reduceat(sound, starts, axis=0)
    for channel in range(sound.shape[1]):
        axes.fill_between(starts / rate, low[:, channel], high[:, channel], color=_colour(channel), linewidth=0.4)


def _panels(columns: int, caption: str) -> tuple[Figure, list[list[Axes]]]:
    """A figure of three rows that share their times, with a line below."""
    figure = Figure(figsize=(6.0 * columns + 4, 7), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, columns, squeeze=False, sharex="col")
    for panel in axes[-1]:
        panel.set_xlabel("seconds")
    figure.supxlabel(caption, fontsize=9)
    return figure, [list(row) for row in axes]


def _limit(sound: np.ndarray) -> float:
    finite = np.abs(sound[np.isfinite(sound)])
    return 1.05 * max(float(finite.max()) if len(finite) else 0.0, 1e-6)


def _colour(channel: int) -> str:
    return _COLOURS[channel % len(_COLOURS)]


def _style() -> AbstractContextManager[None]:
    return matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 9})


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
