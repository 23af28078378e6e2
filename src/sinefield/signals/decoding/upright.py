"""A decoded frame as pixels: upright, square, of the size that is wanted, over white where there is alpha."""

import math
from typing import Any

import numpy as np

from sinefield.errors import integer
from sinefield.signals.decoding.levels import laid_over

_HIGH = 720  # rows from which a film that does not say so has the colours of high definition (ITU-R BT.709)
_UNSPECIFIED = 2  # of FFmpeg's colour spaces


class Plan:
    """What is done to each frame: the first one says what. `aspect` is the width of a pixel over its height."""

    def __init__(self, frame: Any, aspect: float, size: int | None, step: int) -> None:
        parts = frame.format.components
        self.alpha = any(part.is_alpha for part in parts) or frame.format.has_palette
        grey = len(parts) - any(part.is_alpha for part in parts) == 1 and not frame.format.has_palette
        deep = max(part.bits for part in parts) > 8
        self.channels = 1 if grey else 3
        self.format = ("rgba64le" if deep else "rgba") if self.alpha else ("rgb48le" if deep else "rgb24")
        self.turned, self.flips = _orientation(frame)
        width, height = frame.width * aspect, float(frame.height)
        longest = max(width, height)
        wanted = longest if size is None else step * (integer("signal.size", size, least=2) - 1) + 1
        scale = min(1.0, wanted / longest)
        self.width, self.height = (max(step + 1, math.floor(n * scale + 0.5)) for n in (width, height))
        self.step = step
        plain = int(frame.colorspace) == _UNSPECIFIED and not frame.format.is_rgb and frame.height >= _HIGH
        self.colours = {"src_colorspace": "ITU709"} if plain else {}

    def __call__(self, frame: Any) -> np.ndarray:
        """(H, W, C) of a frame."""
        found = frame.reformat(self.width, self.height, self.format, interpolation="AREA", **self.colours).to_ndarray()
        if self.alpha:
            peak = float(np.iinfo(found.dtype).max)
            over = laid_over(found[..., :3] / peak, found[..., 3:] / peak)
            found = np.rint(peak * over).astype(found.dtype)
        found = np.swapaxes(found, 0, 1) if self.turned else found
        found = found[:: self.flips[0], :: self.flips[1], : self.channels]
        return found[
            : (len(found) - 1) // self.step * self.step + 1, : (found.shape[1] - 1) // self.step * self.step + 1
        ]


def _orientation(frame: Any) -> tuple[bool, tuple[int, int]]:
    """Whether rows are to become columns, and the way then along rows and columns, 1 or -1.

    The display matrix [a b u; c d v; x y w] takes a pixel (p, q), row vector, to (a p + c q, b p + d q). Source: ISO
    14496-12, 8.3.2; libavutil/display.h.
    """
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return False, (1, 1)
    a, b, _, c, d, *_ = np.frombuffer(bytes(found), np.int32).tolist()
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    return turned, (-1 if down < 0 else 1, -1 if across < 0 else 1)
