"""Many small pictures on one page: rows of several kinds, each with its name."""

import math
from io import BytesIO

import numpy as np
from PIL import Image

from sinefield.report.colours import value_picture
from sinefield.report.figures import page

_SIDE = 96  # pixels of each picture on the page, about


def sheet(rows: list[tuple[str, np.ndarray]], caption: str) -> bytes:
    """A PNG of rows of pictures (P, H, W, C) in [-1, 1], their names to the left; what is NaN in magenta."""
    first = rows[0][1]
    factor = max(1, round(_SIDE / max(first.shape[1:3])))
    high, wide = (max(_SIDE, factor * n) if factor == 1 else factor * n for n in first.shape[1:3])
    left, gap, below = 300, 6, 60
    width = left + max(len(part) for _, part in rows) * (wide + gap) + gap
    height = gap + len(rows) * (high + gap) + below
    with page(width, height) as drawing:
        for j, (name, pictures) in enumerate(rows):
            y = gap + j * (high + gap)
            drawing.text(left / 2, y + high / 2, name, 8)
            for k, values in enumerate(pictures):
                drawing.show(left + gap + k * (wide + gap), y, wide, high, value_picture(values))
        drawing.text(width / 2, height - below / 2, caption, 8)
        pixels = drawing.pixels()
    return _png(pixels)


def pairs(pictures: list[tuple[np.ndarray, np.ndarray]], caption: str) -> bytes:
    """A PNG of pairs of pictures (H, W, C) in [-1, 1], side by side, in rows of about as many as there are rows."""
    high = 2 * _SIDE
    columns = max(1, math.ceil(len(pictures) ** 0.5 / 1.4))
    rows, gap, below = -(-len(pictures) // columns), 14, 60
    width, height = max(1000, columns * (high + gap) + gap), rows * (_SIDE + gap) + gap + below
    with page(width, height) as drawing:
        for k, pair in enumerate(pictures):
            for j, values in enumerate(pair):
                x, y = gap + (k % columns) * (high + gap) + j * _SIDE, gap + (k // columns) * (_SIDE + gap)
                drawing.show(x, y, _SIDE, _SIDE, value_picture(values))
        drawing.text(width / 2, height - below / 2, caption, 8)
        pixels = drawing.pixels()
    return _png(pixels)


def _png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
