"""A place of a picture, magnified three ways: its samples as squares, their bicubic interpolant, and the field."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from sinefield.errors import require
from sinefield.report.figures import page

PANEL = 600  # pixels of the figure along a magnified panel, or somewhat less: a sample is a whole number of them
ACCENT = "#e8590c"
Crop = tuple[int, int, int, int]  # left, top, right, bottom in pixels as areas of the picture that is drawn


def place(shape: tuple[int, int], zoom: Sequence[float], every: int = 1) -> Crop:
    """The square of drawn pixels around a position, moved to lie inside a picture of (H, W) samples.

    zoom is x, y and size: the column and row in the middle, and the pixels along a side, 2 at least. Where only every
    n-th sample is drawn, the square is of those that fit into the size.

    >>> place((48, 64), [10, 20, 8]), place((48, 64), [0, 47, 8]), place((48, 64), [10, 20, 8], every=3)
    ((6, 16, 14, 24), (0, 40, 8, 48), (3, 6, 5, 8))
    """
    (height, width), (x, y, size) = shape, zoom
    inside = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
    require(inside, f"zoom is [x, y, size]; [{x:g}, {y:g}] is outside the picture of {width} × {height} pixels")
    drawn = [(n - 1) // every + 1 for n in (width, height)]
    least, most = 2 * every, every * min(*drawn, PANEL)
    fits = size == int(size) and least <= size <= most
    require(fits, f"the size of the zoom must be a whole number from {least} to {most}")
    side = int(size) // every
    left, top = (min(max(round(p / every + 0.5 - side / 2), 0), n - side) for p, n in zip((x, y), drawn, strict=True))
    return left, top, left + side, top + side


def busiest(pixels: np.ndarray) -> Crop:
    """The square, an eighth of the longest side, where neighbouring pixels (H, W, C) differ most in mean square.

    A bell over the square makes what differs lie in its middle.
    """
    height, width = pixels.shape[:2]
    size = min(height, width, PANEL, max(16, max(height, width) // 8))
    steps = [np.diff(pixels.astype(float), axis=axis, append=np.take(pixels, [-1], axis)) for axis in (0, 1)]
    power = np.square(steps).sum(axis=(0, 3))
    bell = np.hanning(size + 2)[1:-1]
    for axis in (0, 1):
        power = np.apply_along_axis(np.convolve, axis, power, bell, "valid")
    top, left = (int(i) for i in np.unravel_index(power.argmax(), power.shape))
    return left, top, left + size, top + size


def zoom_figure(
    pixels: np.ndarray, crop: Crop, field: Callable[[int], np.ndarray], caption: str, every: int = 1
) -> np.ndarray:
    """The figure (h, w, 3) uint8: the picture with the place marked, then nearest, bicubic and the field there.

    All three are drawn on the same points, a whole number s of them per pixel along each side; ticks count samples.

    Args:
        pixels: (H, W, 3) uint8, the samples that are drawn, every n-th along each axis.
        crop: the place, m × m pixels.
        field: gives the field there, (s m, s m, 3) uint8 for s.
        caption: a line above.
        every: n.
    """
    (height, width), (left, _, right, _) = pixels.shape[:2], crop
    s = PANEL // (right - left)
    side, whole = s * (right - left), Image.fromarray(pixels)
    nearest, bicubic = (
        np.asarray(whole.resize((side, side), how, box=crop))
        for how in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
    )
    which = "the samples" if every == 1 else f"one in {every}² samples"
    panels = (
        ("nearest", nearest, f"{which}, a square each"),
        ("bicubic", bicubic, "a cubic through 4 × 4 of them"),
        ("field", field(s), f"the network, at {s} × {s} points per square"),
    )
    shrink = min(side / height, 1.4 * side / width)
    high, wide = max(1, round(shrink * height)), max(1, round(shrink * width))
    margin, gap, above, below = 70, 80, 130, 100
    first = max(wide, 300)  # room for the words around a tall picture
    total = (margin + first + gap + 3 * side + 2 * gap + 40, above + side + below)
    with page(*total) as drawing:

        def show(
            x: float, y: float, picture: np.ndarray, size: tuple[int, int], area: Crop, words: str, note: str
        ) -> Axes:
            """A panel with its upper left corner at (x, y); the axes count samples."""
            x0, y0, x1, y1 = (every * (edge - 0.5) for edge in area)
            axes = drawing.show(x, y, *size, picture, extent=(x0, x1, y1, y0))
            axes.tick_params(labelsize=6, length=2, width=0.4, color="0.4", labelcolor="0.4")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4, integer=True))
            axes.set_title(words, size=9, pad=6)
            axes.set_xlabel(note, size=7, color="0.3", labelpad=4)
            return axes

        drawing.text(total[0] / 2, 36, caption, 8.5)
        corner, note = (margin + (first - wide) / 2, above + (side - high) / 2), f"{width} × {height} samples"
        overview = show(*corner, pixels, (wide, high), (0, 0, width, height), "picture", note)
        x = margin + first + gap
        axes = [
            show(x + k * (side + gap), above, picture, (side, side), crop, words, note)
            for k, (words, picture, note) in enumerate(panels)
        ]
        west, north, east, south = (every * (edge - 0.5) for edge in crop)
        overview.add_patch(Rectangle((west, north), east - west, south - north, fill=False, color=ACCENT, linewidth=1))
        for edge in (north, south):  # from the place in the picture to its magnification
            start, end = (east, edge), (west, edge)
            line = ConnectionPatch(start, end, "data", axesA=overview, axesB=axes[0], color=ACCENT, linewidth=0.5)
            drawing.figure.add_artist(line)
        for spine in (spine for panel in axes for spine in panel.spines.values()):
            spine.set(color=ACCENT, linewidth=1)
        return drawing.pixels()
