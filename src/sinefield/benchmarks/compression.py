"""What small files hold of pictures, beside JPEG and WebP of the same size and what COIN has published.

Source: Dupont et al., COIN, arXiv 2103.03123; results.json of github.com/EmilienDupont/coin: bits per pixel and PSNR,
means over the 24 pictures of Kodak.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from sinefield.compression.files import drawn, read, write
from sinefield.compression.rivals import psnr, rivals
from sinefield.compression.waves import compress
from sinefield.signals.decoding.pixels import decode

_COIN = [(0.0368, 22.408), (0.07361, 23.205), (0.1604, 24.641), (0.3074, 26.412), (0.6109, 28.408), (1.209, 30.644)]


def rows(pictures: Sequence[str], rates: Sequence[float], block: int = 32) -> Iterator[dict[str, Any]]:
    """A row per picture and rate: dB of the file, of its rivals in at most as many bytes, and CPU seconds.

    Args:
        pictures: files.
        rates: bits per pixel that are asked for.
        block: samples along a side of a block of waves.
    """
    for path in pictures:
        for rate in rates:
            yield _row(path, rate, block)


def _row(path: str, rate: float, block: int) -> dict[str, Any]:
    pixels = decode(path)
    truth, count = np.rint(255 * pixels).astype(np.uint8), pixels.shape[0] * pixels.shape[1]
    name = Path(path).stem.removeprefix("skimage:")
    with tempfile.TemporaryDirectory() as folder:
        file, start = Path(folder, "picture.sine"), process_time()
        size = write(file, compress(2 * pixels - 1, rate, block))
        middle = process_time()
        found = drawn(read(file))
        end = process_time()
    bpp, others = 8 * size / count, rivals(truth, size)
    row: dict[str, Any] = {"picture": name, "bytes": size, "bits_per_pixel": bpp, "local_waves_db": psnr(found, truth)}
    for key, (taken, quality) in others.items():
        row[f"{key}_db"] = quality if taken <= size else None  # none is so small
    row["COIN_mean_db"] = _published(bpp) if name.startswith("kodim") else None
    return row | {"encoding_s": middle - start, "decoding_s": end - middle}


def _published(bpp: float) -> float:
    """COIN's PSNR, linear in the logarithm of the rate between its points."""
    rates, quality = zip(*_COIN, strict=True)
    return float(np.interp(np.log(bpp), np.log(rates), quality))
