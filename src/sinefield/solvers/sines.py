"""Poisson's and the heat equation in a box whose border is held at 0, by sine transforms.

    -lap u = f:      u^_k = f^_k / |k|^2                u_t = a lap u:      u^_k(t) = u^_k(0) exp(-a |k|^2 t)

with f^ the coefficients of sin(k_1 (x_1 + l)) sin(k_2 (x_2 + l)) .., k_d = 1, 2, .. times pi / (2 l). The error falls
faster than any power of the spacing for data that are smooth and vanish near the border.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft


def poisson(source: np.ndarray, half: float) -> np.ndarray:
    """u, (n, ..), of f at the n points of a regular grid along each axis, the outermost of which lie at -+ half."""
    inside = tuple(slice(1, -1) for _ in source.shape)
    found = np.zeros_like(source)
    found[inside] = fft.idstn(fft.dstn(source[inside], type=1) / _squares(source, half), type=1)
    return found


def heat(value: np.ndarray, half: float, diffusivity: float, duration: float, frames: int) -> np.ndarray:
    """u, (frames, n, ..), at times from 0 to `duration`, of u(0) at points as of `poisson`.

    Args:
        value: u(0).
        half: half the box.
        diffusivity: a, in units of length^2 per unit of time.
        duration, frames: the last time, and how many, evenly spaced, with time 0 the first.
    """
    inside = tuple(slice(1, -1) for _ in value.shape)
    start, squares = fft.dstn(value[inside], type=1), _squares(value, half)
    found = np.zeros((frames, *value.shape))
    for frame, t in zip(found, np.linspace(0, duration, frames), strict=True):
        frame[inside] = fft.idstn(start * np.exp(-diffusivity * squares * t), type=1)
    return found


def _squares(value: np.ndarray, half: float) -> np.ndarray:
    """|k|^2 of every coefficient."""
    k = np.meshgrid(*[math.pi / (2 * half) * np.arange(1, n - 1) for n in value.shape], indexing="ij")
    return np.asarray(sum(part**2 for part in k))
