"""Stored values as values from 0, black, to 1, white."""

import logging

import numpy as np

from sinefield.errors import require

_log = logging.getLogger(__name__)

DIM = 4  # a picture whose brightest value is below white over this is likely to have another white
WIDE_INTEGERS = 65535.0  # white of integers of 32 and 64 bits, which files use for values of 16 bits


def white_of(dtype: np.dtype, bits: int | None = None) -> float:
    """The white of a type: 1 of floats and booleans, else the largest value, and 65535 beyond 16 bits.

    >>> white_of(np.dtype("u2")), white_of(np.dtype("u2"), bits=12), white_of(np.dtype("i1")), white_of(np.dtype("u4"))
    (65535.0, 4095.0, 127.0, 65535.0)
    """
    if dtype.kind in "bf":
        return 1.0
    bits = bits or 8 * dtype.itemsize
    return WIDE_INTEGERS if bits > 16 else float(2 ** (bits - (dtype.kind == "i")) - 1)


def scaled(stored: np.ndarray, name: str, peak: float, white: float | None = None) -> np.ndarray:
    """`stored` over `white`, or over `peak`, the white of its type: float64 in [0, 1]; warns where it is nearly black.

    Raises:
        UserError: a value is below 0, above white, or not finite.
    """
    white = white or peak
    least, most = float(stored.min()), float(stored.max())  # NaN where there is one, which fails the test below
    whole = stored.dtype.kind != "f" and np.isfinite(most)
    likely = 2 ** int(most).bit_length() - 1 if whole else most  # the least number of bits that holds the values
    cure = f"rescale them to 0 (black) to {white:g} (white)"
    cure += f", or give signal.white={likely:g}" if most > white and least >= 0 else ""
    require(least >= 0 and most <= white, f"{name} holds values from {least:.10g} to {most:.10g}; {cure}")
    if stored.dtype.itemsize > 1 and 0 < most < white / DIM:  # of 8 bits, dark is dark
        dim = "%s holds values from %g to %g, and white is %g: nearly black; signal.white=%g makes it bright"
        _log.warning(dim, name, least, most, white, likely)
    return stored.astype(np.float64) / white


def warn_unused(name: str) -> None:
    """Warn that `signal.white` does nothing for this file."""
    _log.warning("signal.white has no effect on %s, of which 8 bits per channel are read", name)


def laid_over(value: np.ndarray, alpha: np.ndarray, behind: float = 1.0, premultiplied: bool = False) -> np.ndarray:
    """``b - alpha (b - value)``: a picture (H, W, C) laid, with its alpha (H, W, 1), over the grey b, 1 for white."""
    return np.clip(value + behind * (1 - alpha), 0, 1) if premultiplied else behind - alpha * (behind - value)
