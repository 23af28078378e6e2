"""Many small pictures on one page: rows of several kinds, each with its name."""

from io import BytesIO

import numpy as np
from PIL import Image

from sinefield.report.colours import value_picture
from sinefield.report.figures import page

_SIDE = 96  # pixels of each picture on the page, about
_MISSING = (255, 0, 200)  # no colour of a photograph


def sheet(rows: dict[str, np.ndarray], caption: str) -> bytes:
    """A PNG of rows of pictures (P, H, W, C) in [-1, 1], their names to the left; what is NaN in pink."""
    first = next(iter(rows.values()))
    factor = max(1, round(_SIDE / max(first.shape[1:3])))
    high, wide = (factor * n for n in first.shape[1:3])
    left, gap, below = 300, 6, 60
    width = left + max(len(part) for part in rows.values()) * (wide + gap) + gap
    height = gap + len(rows) * (high + gap) + below
    with page(width, height) as drawing:
        for j, (name, pictures) in enumerate(rows.items()):
            y = gap + j * (high + gap)
            drawing.text(left / 2, y + high / 2, name.strip(), 8)
            for k, values in enumerate(pictures):
                drawing.show(left + gap + k * (wide + gap), y, wide, high, _enlarged(values, factor))
        drawing.text(width / 2, height - below / 2, caption, 8)
        pixels = drawing.pixels()
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _enlarged(values: np.ndarray, factor: int) -> np.ndarray:
    missing = np.isnan(values).any(axis=-1)
    colours = value_picture(np.nan_to_num(values))
    colours[missing] = _MISSING
    return colours.repeat(factor, 0).repeat(factor, 1)
