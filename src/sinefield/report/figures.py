"""Figures by matplotlib, without its global state."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

DPI = 200


class Page:
    """A white figure of so many pixels; positions are pixels from its upper left corner. Drawn in `page`."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)

    def text(self, x: float, y: float, words: str, size: float = 7.5, ha: str = "center", **style: Any) -> Text:
        """Words with their middle, or their left or right end, at a position."""
        style = {"size": size, "ha": ha, "va": "center", "parse_math": False, **style}
        return self.figure.text(x / self.width, 1 - y / self.height, words, **style)

    def show(self, x: float, y: float, width: float, height: float, picture: np.ndarray, **options: Any) -> Axes:
        """A picture over an area; its samples are sharp squares unless it is shrunk."""
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box, xticks=[], yticks=[])
        axes.imshow(picture, aspect="auto", interpolation="auto" if width < picture.shape[1] else "nearest", **options)
        return axes

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


@contextmanager
def page(width: int, height: int) -> Iterator[Page]:
    """A `Page` to draw on, in a font and lines that are the same everywhere."""
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "axes.linewidth": 0.4}):
        yield Page(width, height)


@contextmanager
def chart(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches to plot in, a PNG afterwards."""
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8, "axes.linewidth": 0.5}):
        figure = Figure(figsize=(width, height), dpi=150, facecolor="white", layout="constrained")
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)
