"""The contact sheet: all pictures of a run on one page, with labels and colour bars."""

import textwrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from sinefield.report.colours import error_picture, gradient_picture, laplacian_picture, value_picture

DPI = 200


def contact_sheet(
    panels: dict[str, np.ndarray], slope: float, curvature: float, worst: float, caption: str
) -> np.ndarray:
    """The figure (h, w, 3) uint8: signal above field; value, gradient, Laplacian, and the wheel above the error.

    Lengths are pixels and a sample is a whole number of them (up to 720 samples a side): nothing is blurred or jagged.
    """
    high, wide = panels["error"].shape[:2]
    zoom = max(1, round(480 / max(high, wide))) if max(high, wide) <= 720 else 512 / max(high, wide)
    wide, high = max(1, round(zoom * wide)), max(1, round(zoom * high))
    column, row = max(wide, 380), max(high, 110)  # room for the labels of a narrow or a flat picture
    left, gap, line = 72, 40, 34
    width = left + 4 * column + 3 * gap + 24
    lines = [part for words in caption.split("\n") for part in textwrap.wrap(words, width // 15) or [""]]
    top = 92 + line * len(lines)
    below = top + row + gap
    height = below + row + 132
    rows = (
        (top, ("ground_truth", "gradient_signal", "laplacian_signal")),
        (below, ("reconstruction", "gradient_field", "laplacian_field", "error")),
    )
    ramp, turn = np.linspace(0, 1, 512)[None, :, None], np.linspace(0, 2 * np.pi, 64)[:, None, None]
    hues = gradient_picture(np.stack([ramp * np.cos(turn), ramp * np.sin(turn)], axis=-1), 1)
    blue_red, sides = laplacian_picture(2 * ramp - 1, 1), (f"≤ −{curvature:,.6g}", "0", f"≥ {curvature:,.6g}")
    bars = (
        (value_picture(2 * ramp - 1), ("≤ −1", "0", "≥ 1"), "dimensionless"),
        (hues, ("0", "", f"≥ {slope:,.6g}"), "per unit of coordinate"),
        (blue_red, sides, "per unit² of coordinate"),
        (error_picture(ramp, 1), ("0", "", f"≥ {worst:,.6g}"), "|field − signal|, RMS over channels"),
    )
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "axes.linewidth": 0.4}):
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)

        def text(x: float, y: float, words: str, size: float = 7.5, ha: str = "center", **style: Any) -> Text:
            return figure.text(
                x / width, 1 - y / height, words, size=size, ha=ha, va="center", parse_math=False, **style
            )

        def show(x: float, y: float, w: float, h: float, picture: np.ndarray) -> Axes:
            axes = figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height), xticks=[], yticks=[])
            axes.imshow(picture, aspect="auto", interpolation="nearest" if zoom >= 1 else "auto")
            return axes

        title = text(width / 2, 26 + line * len(lines) / 2, "\n".join(lines), 8.5, linespacing=1.25)
        title.set_fontsize(8.5 * min(1, (width - 40) / max(1, title.get_window_extent().width)))  # wide letters
        text(36, top + row / 2, "signal", 8.5, rotation=90)
        text(36, below + row / 2, "field", 8.5, rotation=90)
        lefts = [left + k * (column + gap) for k in range(4)]
        for x, heading in zip(lefts, ("value", "gradient", "Laplacian", "direction of the gradient"), strict=True):
            text(x + column / 2, top - 22, heading, 8.5)
        text(lefts[3] + column / 2, below - 22, "error", 8.5)
        for y, names in rows:
            for x, name in zip(lefts, names, strict=False):
                show(x + (column - wide) // 2, y + (row - high) // 2, wide, high, panels[name])
        for x, (bar, numbers, unit) in zip(lefts, bars, strict=True):
            show(x, below + row + 20, column, 18, bar)
            for at, ha, number in zip((0, column / 2, column), ("left", "center", "right"), numbers, strict=True):
                text(x + at, below + row + 60, number, ha=ha)
            text(x + column / 2, below + row + 98, unit)
        flat, disc = row < 320, min(row - 8, 180)  # flat: no room for the words below the wheel
        x, y = lefts[3], top + (row - disc - (0 if flat else 90)) // 2
        show(x + (10 if flat else (column - disc) // 2), y, disc, disc, _wheel(disc)).axis("off")
        x, y, ha = (x + disc + 26, top + row / 2, "left") if flat else (x + column / 2, y + disc + 54, "center")
        text(x, y, f"hue: the way uphill\nblack: 0, full colour: ≥ {slope:,.6g}", ha=ha, linespacing=1.4)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _wheel(size: int) -> np.ndarray:
    """The gradient's colours (size, size, 4): a point of the unit disc shows the gradient that is its own vector."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    colour = gradient_picture(np.stack([x, y], axis=-1)[:, :, None], 1)
    cover = np.clip((1 - np.hypot(x, y)) * size / 2, 0, 1)[..., None]
    return np.concatenate([colour, np.rint(255 * cover).astype(np.uint8)], axis=-1)
