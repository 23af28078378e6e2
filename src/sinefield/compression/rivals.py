"""JPEG and WebP at the same size: what a small file is compared with."""

import io
import math
from typing import Any

import numpy as np
from PIL import Image

from sinefield.errors import require

FORMATS: dict[str, dict[str, Any]] = {"JPEG": {"optimize": True}, "WebP": {"method": 6}}  # Pillow, at its best


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """dB, of values of 0 to 255."""
    error = float(np.square(picture.astype(float) - truth).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def rivals(truth: np.ndarray, size: int) -> dict[str, tuple[int, float]]:
    """By format, bytes and dB of the largest file of `size` bytes at most; of the smallest there is, if none is so.

    Args:
        truth: (H, W, 1 or 3) of uint8.
        size: in bytes.
    """
    require(truth.shape[2] in (1, 3), f"JPEG and WebP have 1 or 3 channels, not {truth.shape[2]}")
    return {name: _best(truth, size, name, options) for name, options in FORMATS.items()}


def _best(truth: np.ndarray, size: int, name: str, options: dict[str, Any]) -> tuple[int, float]:
    low, high, best = 0, 101, _saved(truth, name, 1, options)
    while high - low > 1:  # the size grows with the quality
        quality = (low + high) // 2
        content = _saved(truth, name, quality, options) if quality else best
        if len(content) <= size:
            low, best = quality, content
        else:
            high = quality
    with Image.open(io.BytesIO(best)) as picture:
        found = np.asarray(picture.convert("L" if truth.shape[2] == 1 else "RGB")).reshape(truth.shape)
    return len(best), psnr(found, truth)


def _saved(truth: np.ndarray, name: str, quality: int, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(truth[..., 0] if truth.shape[2] == 1 else truth).save(file, name, quality=quality, **options)
    return file.getvalue()
