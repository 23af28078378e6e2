"""Rows of pictures on one page: frames of a film, or slices of a volume, of signal, field and error."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from sinefield.report.figures import page

_SIDE = 400  # pixels of the longest side of a picture on the page
_MARGIN, _GAP, _ABOVE, _LINE = 90, 16, 50, 40


def sheet(rows: Mapping[str, Sequence[np.ndarray]], titles: Sequence[str], caption: str) -> bytes:
    """Rows of pictures (H, W, 3) of uint8 with their names, as PNG.

    Args:
        rows: by name, as many pictures each as there are titles; those of one column have one size.
        titles: of the columns.
        caption: the lines below.
    """
    lines, first = caption.split("\n"), next(iter(rows.values()))
    scale = _SIDE / max(max(picture.shape[:2]) for picture in first)
    sizes = [(max(1, round(scale * picture.shape[0])), max(1, round(scale * picture.shape[1]))) for picture in first]
    high, wide = max(height for height, _ in sizes), [max(width, 240) for _, width in sizes]
    width = _MARGIN + sum(wide) + _GAP * len(wide)
    height = _ABOVE + (high + _GAP) * len(rows) + _LINE * len(lines) + _GAP
    with page(width, height) as drawing:
        for i, (name, pictures) in enumerate(rows.items()):
            y, x = _ABOVE + i * (high + _GAP), _MARGIN
            drawing.text(_MARGIN / 2, y + high / 2, name, 8, rotation=90)
            for k, picture in enumerate(pictures):
                tall, broad = sizes[k]
                drawing.show(x + (wide[k] - broad) / 2, y + (high - tall) / 2, broad, tall, picture)
                if i == 0:
                    drawing.text(x + wide[k] / 2, _ABOVE / 2, titles[k], 8)
                x += wide[k] + _GAP
        for k, line in enumerate(lines):
            drawing.text(width / 2, height - _LINE * (len(lines) - k - 0.5), line)
        pixels, buffer = drawing.pixels(), BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
