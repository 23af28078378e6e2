"""The squares that a collection takes of a picture: its middle, patches side by side, or random ones of all sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from sinefield.errors import require
from sinefield.signals.decoding.pixels import middle


def squares(name: str, pixels: np.ndarray, side: int | None, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """The square in the middle of a picture (H, W, C), or patches that lie side by side, with names.

    Args:
        name: of the picture.
        pixels: of it.
        side: of the patches; None for the middle.
        most: patches, evenly spread.
    """
    if side is None:
        yield name, middle(pixels)
        return
    rows, columns = (n // side for n in pixels.shape[:2])
    require(rows * columns > 0, f"{name} has no room for patches of {side} pixels; take a smaller signal.patch")
    for k in np.unique(np.linspace(0, rows * columns - 1, min(most, rows * columns)).astype(int)):
        top, left = side * (k // columns), side * (k % columns)
        yield f"{name}-{top}-{left}", pixels[top : top + side, left : left + side]


def crops(name: str, pixels: np.ndarray, side: int, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Random squares of a picture (H, W, C), with names; the same ones for the same name.

    Their sides are log-uniform from `side` to the picture's shorter one: a picture that is small on the screen has more
    detail in a pixel than a part of a large one. Each is turned by a multiple of 90 degrees, mirrored or not, and
    inverted or not.

    Args:
        name: of the picture.
        pixels: of it, in [0, 1].
        side: of the smallest; of the whole where that is smaller.
        count: how many.
    """
    generator = np.random.default_rng(list(hashlib.blake2b(name.encode(), digest_size=8).digest()))
    height, width = pixels.shape[:2]
    most = min(height, width)
    for k in range(count):
        own = int(side * (most / side) ** generator.random()) if most > side else most
        top, left = generator.integers(height - own + 1), generator.integers(width - own + 1)
        square = np.rot90(pixels[top : top + own, left : left + own], int(generator.integers(4)))
        square = square[:, ::-1] if generator.random() < 0.5 else square
        yield f"{name}-{k}", 1 - square if generator.random() < 0.5 else square
