"""A picture file at any other size in one call: the spline through its pixels with what a prior finds between them.

Pixels are areas, as in `sinefield.render.picture`: pixel j of the result is centred at ``(j + 1/2) / scale - 1/2``
pixels of the file. No network is fitted.
"""

from pathlib import Path

import numpy as np
import torch

from sinefield.errors import positive, require
from sinefield.render.raster import WRITERS, target, write_png
from sinefield.signals import spline
from sinefield.signals.decoding.pixels import decode
from sinefield.signals.prior import Prior
from sinefield.system.files import atomic_write

_DEGREE = 3
_MOST = 100_000  # pixels along a side of the result


def upscale(
    path: str | Path | np.ndarray,
    scale: float = 2.0,
    out: str | Path | None = None,
    *,
    prior: str | Path | None = "natural",
    symmetric: bool = False,
    white: float | None = None,
    allow_huge: bool = False,
) -> np.ndarray:
    """The picture with `scale` times as many pixels along each side, (H', W', C) float32 in [0, 1], C = 1 or 3.

    Args:
        path: a picture file, `skimage:NAME`, or an array (H, W, C) in [0, 1].
        scale: need not be whole; below 1 the picture is sampled, not averaged.
        out: a file to write too: .png, of 8 bits, or .tif and .npy, of float32.
        prior: a name or file as `Prior` takes it; None for the spline alone.
        symmetric: the mean over eight turns and mirror images: somewhat better, at eight times the cost.
        white, allow_huge: as `signal=image` takes them.

    Raises:
        UserError: the file cannot be read, or an argument makes no sense.

    >>> upscale("skimage:microaneurysms", 1.5, prior=None).shape
    (153, 153, 1)
    """
    file = None if out is None else target(out)
    pixels = path if isinstance(path, np.ndarray) else decode(path, allow_huge=allow_huge, white=white)
    require(pixels.ndim == 3 and min(pixels.shape[:2]) > _DEGREE, f"a picture is (H, W, C), not {pixels.shape}")
    sides = [round(positive("scale", scale) * n) for n in pixels.shape[:2]]
    require(min(sides) >= 1 and max(sides) <= _MOST, f"scale={scale:g} makes {sides[1]} × {sides[0]} pixels")
    down, across = ((np.arange(n) + 0.5) / scale - 0.5 for n in sides)
    samples = 2 * pixels.astype(np.float64) - 1
    values = along(along(spline.coefficients(samples, _DEGREE), down, 0), across, 1)
    if prior is not None:
        values += Prior(prior, symmetric).correction(samples, down, across)[0]
    values = ((values + 1) / 2).clip(0, 1).astype(np.float32)
    if file is not None:
        write = WRITERS[file.suffix.lower()]
        bands = (np.rint(255 * values).astype(np.uint8) if write is write_png else values)[None]
        with atomic_write(file) as stream:
            write(
                stream,
                bands,
                values.shape,
                bands.dtype,
                f"{'an array' if path is pixels else path}, {scale:g} times as fine",
            )
    return values


def along(c: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """The cubic spline with coefficients c at positions (n,) along one axis, in samples; the other axes stay as c."""
    cell = np.clip(np.floor(positions), 0, c.shape[axis] - _DEGREE - 1).astype(int)
    taps = spline.weights(torch.from_numpy(positions - cell), _DEGREE, 0).numpy()
    shape = [-1 if d == axis else 1 for d in range(c.ndim)]
    return sum(w.reshape(shape) * np.take(c, cell + k, axis) for k, w in enumerate(taps.T))
