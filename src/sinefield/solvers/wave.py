"""The wave equation in any number of space dimensions: the oracles that a field is compared with.

    u_tt = c(x)^2 lap u,      u(x, 0) = g(x),      u_t(x, 0) = h(x)

`spectral` is exact in time, for constant c in a periodic box:

    u^(k, t) = g^(k) cos(c|k|t) + h^(k) sin(c|k|t) / (c|k|)

`leapfrog` is for any c, by differences in time and space. With L = c^2 lap, lap by central differences of order p,

    u(t + dt) = 2 u(t) - u(t - dt) + dt^2 L u                     p = 2
    ... + dt^4 / 12 L L u                                         p = 4

Source: Cohen, Higher-Order Numerical Methods for Transient Wave Equations (2002), ch. 4 and 7 (modified equation).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

_SECOND = {2: (-2.0, 1.0), 4: (-5 / 2, 4 / 3, -1 / 12)}  # second difference: weight of the middle, of +-1, of +-2
_COURANT = 0.5  # c dt sqrt(D) / h: half of what is stable with order 2; the error of time stays below that of space


def spectral(
    value: np.ndarray, velocity: np.ndarray, half: float, speed: float, duration: float, frames: int
) -> np.ndarray:
    """The solution in a periodic box, (frames, ...), at times from 0 to `duration`.

    Args:
        value, velocity: g and h at n points along each axis, the first at -half, the last one spacing before +half.
        half: half the period; large enough that nothing comes back from the other side by `duration`.
        speed: c, in units of length per unit of time.
        duration, frames: the last time, and how many, evenly spaced, with time 0 the first.
    """
    k = np.meshgrid(*[math.pi / half * np.fft.fftfreq(n, 1 / n) for n in value.shape], indexing="ij")
    omega = speed * np.sqrt(sum(part**2 for part in k))
    start, push = np.fft.fftn(value), np.fft.fftn(velocity)
    found = [
        np.fft.ifftn(start * np.cos(omega * t) + push * t * np.sinc(omega * t / math.pi)).real
        for t in np.linspace(0, duration, frames)
    ]
    return np.stack(found)


def leapfrog(
    value: np.ndarray,
    velocity: np.ndarray,
    speed: np.ndarray,
    spacing: float,
    duration: float,
    frames: int,
    border: Literal["fixed", "free"] = "fixed",
    order: Literal[2, 4] = 4,
) -> np.ndarray:
    """The solution by finite differences, (frames, ...), at times from 0 to `duration`; error O(h^order) for smooth c.

    Args:
        value, velocity: g and h at the points of a regular grid, whose outermost ones lie on the border.
        speed: c there; where it jumps, the root of 1 over the mean of 1/c^2 around each point.
        spacing: h, of the grid.
        duration, frames: as for `spectral`.
        border: u = 0 (fixed) or no slope across (free). Where waves are to leave, take a grid that is so much larger
            that nothing comes back: by c duration / 2 on each side for what starts inside.
        order: p, of the differences.
    """
    stable = _COURANT * spacing / (speed.max() * math.sqrt(value.ndim))
    per_frame = max(1, math.ceil(duration / (frames - 1) / stable)) if frames > 1 else 1
    dt = duration / max(1, frames - 1) / per_frame
    square = (dt * speed / spacing) ** 2  # c^2 dt^2 / h^2, so that below `wave` is dt^2 L

    def wave(u: np.ndarray) -> np.ndarray:
        return square * _laplacian(u, border, order)

    now = _held(value, border)
    change = wave(now)
    later = now + dt * velocity + change / 2 + dt / 6 * wave(velocity)  # Taylor, to the order of what follows
    if order == 4:
        later = later + wave(change) / 24
    later = _held(later, border)
    found = [now]
    for step in range(1, per_frame * (frames - 1) + 1):
        before, now = now, later
        if step % per_frame == 0:
            found.append(now)
        change = wave(now)
        later = 2 * now - before + change
        if order == 4:
            later = later + wave(change) / 12
        later = _held(later, border)
    return np.stack(found)


def _held(u: np.ndarray, border: str) -> np.ndarray:
    """u, with 0 on a fixed border."""
    if border == "free":
        return u
    inside = tuple(slice(1, -1) for _ in u.shape)
    held = np.zeros_like(u)
    held[inside] = u[inside]
    return held


def _laplacian(u: np.ndarray, border: str, order: int) -> np.ndarray:
    """h^2 lap u, continued beyond the border as an even function where it is free and an odd one where it is fixed."""
    middle, *sides = _SECOND[order]
    found = u.ndim * middle * u
    for axis in range(u.ndim):
        wide = [(len(sides), len(sides)) if d == axis else (0, 0) for d in range(u.ndim)]
        padded = np.pad(u, wide, mode="reflect", reflect_type="even" if border == "free" else "odd")
        n = u.shape[axis]
        for distance, weight in enumerate(sides, start=1):
            for shift in (len(sides) - distance, len(sides) + distance):
                found += weight * padded[(slice(None),) * axis + (slice(shift, shift + n),)]
    return found
