"""Frames of a field, its truth and the error, as one PNG or as a film."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sinefield.evaluation.films import write_film

_RATE = 30  # frames per second
_SECONDS = 2.0  # of a film, at least; frames are repeated


def strips(rows: Mapping[str, np.ndarray], titles: list[str], caption: str) -> bytes:
    """Rows of frames (T, H, W), each row with a scale of its own beside it and symmetric about 0, as PNG.

    Args:
        rows: by name, all with T frames.
        titles: of the frames.
        caption: the line below.
    """
    frames, height, width = next(iter(rows.values())).shape
    down = frames > 1  # a single frame of each stands side by side
    side = 1.5 if down else 2.6  # inches along the longest side
    columns, lines = (frames, len(rows)) if down else (len(rows), 1)
    each = side * np.array([width, height]) / max(width, height)
    size = ((each[0] + (0 if down else 0.6)) * columns + 0.8, (each[1] + 0.15) * lines + 0.7)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 7}):
        figure = Figure(figsize=size, dpi=150, facecolor="white", layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False)
        for line, (name, values) in zip(axes if down else axes.T, rows.items(), strict=True):
            limit = scale(values)
            for panel, frame, title in zip(line, values, titles, strict=True):
                image = panel.imshow(frame, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
                panel.set(xticks=[], yticks=[])
                panel.set_title(title, fontsize=7)
            line[0].set_ylabel(name)
            figure.colorbar(image, ax=line, fraction=0.05, pad=0.01)
        figure.supxlabel(caption, fontsize=7)
        file = BytesIO()
        FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def scale(values: np.ndarray) -> float:
    """The number that is shown darkest: the largest of the frames behind the first, which is often far above all."""
    later = values[1:] if len(values) > 1 else values
    return max(float(np.abs(np.nan_to_num(later)).max()), 1e-30)


def film(path: Path, panels: list[np.ndarray], limits: list[float]) -> None:
    """Write an MP4 (H.264) of panels side by side, frames (T, H, W) each, 30 a second, each repeated to last 2 s.

    Args:
        path: of the file, which is there as a whole or not at all.
        panels: all of one shape.
        limits: the value that is darkest, of each.
    """
    count, colours = len(panels[0]), matplotlib.colormaps["RdBu_r"]

    def shown(number: int) -> np.ndarray:
        """(H, W, 3) of uint8."""
        levels = [
            np.nan_to_num(panel[number] / (2 * limit) + 0.5, nan=0.5).clip(0, 1)
            for panel, limit in zip(panels, limits, strict=True)
        ]
        return np.concatenate([(255 * colours(level)[..., :3]).round().astype(np.uint8) for level in levels], axis=1)

    write_film(path, map(shown, range(count)), _RATE, repeat=max(1, round(_RATE * _SECONDS / count)))
