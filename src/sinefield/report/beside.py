"""Pictures side by side: what a composite was made of, its classical solution, and the field."""

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 200
PANEL = 480  # pixels of the longest side


def side_by_side(panels: dict[str, np.ndarray], caption: str) -> np.ndarray:
    """The figure (h, w, 3) uint8: pictures (H, W, 3) uint8 of one size in a row, their names above, a line below.

    A pixel of a picture is a whole number of the figure's, or several of them share one: nothing is blurred.
    """
    height, width = next(iter(panels.values())).shape[:2]
    zoom = (
        max(1, round(PANEL / max(height, width))) if max(height, width) <= 1.5 * PANEL else PANEL / max(height, width)
    )
    high, wide = max(1, round(zoom * height)), max(1, round(zoom * width))
    column, gap, above, below = max(wide, 300), 30, 60, 60
    total = (len(panels) * (column + gap) + gap, above + high + below)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "axes.linewidth": 0.4}):
        figure = Figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        for k, (name, picture) in enumerate(panels.items()):
            x = gap + k * (column + gap) + (column - wide) / 2
            box = (x / total[0], below / total[1], wide / total[0], high / total[1])
            axes = figure.add_axes(box, xticks=[], yticks=[])
            axes.imshow(picture, aspect="auto", interpolation="nearest" if zoom >= 1 else "auto")
            middle = (x + wide / 2) / total[0]
            figure.text(middle, 1 - 34 / total[1], name, size=8, ha="center", va="center", parse_math=False)
        figure.text(0.5, 28 / total[1], caption, size=7.5, ha="center", va="center", parse_math=False)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
