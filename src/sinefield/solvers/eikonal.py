"""First arrivals: ``|grad tau| = 1 / c(x)`` in the plane, tau = 0 at a source, by fast sweeping.

With a and b the smaller of the two neighbours along x and y, and h the spacing, tau solves

    ((tau - a)^+)^2 + ((tau - b)^+)^2 = (h / c)^2

point after point, in four orders of the grid in turn until nothing changes. First order in h; exact as far around the
source as c is constant.
Source: Zhao, A fast sweeping method for Eikonal equations, Mathematics of Computation 74 (2005).
"""

from __future__ import annotations

import numpy as np

_CONVERGED = 1e-10
_UNKNOWN = 1e30
_ROUNDS = 50
_EXACT = 4  # points around the source, at least, within which tau is the distance over c there


def first_arrivals(speed: np.ndarray, spacing: float, source: tuple[float, float]) -> np.ndarray:
    """tau (H, W), for c (H, W) and a source at (column, row), in points of the grid."""
    h, w = speed.shape
    rows, columns = np.mgrid[:h, :w]
    away = np.hypot(columns - source[0], rows - source[1])
    at = speed[round(source[1]), round(source[0])]
    tau = np.full((h + 2, w + 2), _UNKNOWN)  # with a border that nothing comes from
    other = np.abs(speed - at) > 1e-9 * at
    near = away <= max(_EXACT, away[other].min() - 1 if other.any() else np.inf)
    tau[1:-1, 1:-1][near] = away[near] * spacing / at
    step = np.pad(spacing / speed, 1)
    free = np.pad(~near, 1)
    diagonals = [(i, k - i) for k in range(h + w - 1) for i in [np.arange(max(0, k - w + 1), min(h, k + 1))]]
    for _ in range(_ROUNDS):
        before = tau.copy()
        for flipped in ((1, 1), (1, -1), (-1, 1), (-1, -1)):  # views: points of a diagonal do not depend on each other
            view, cost, moves = (part[:: flipped[0], :: flipped[1]] for part in (tau, step, free))
            for i, j in diagonals:
                _sweep(view, cost, moves, i + 1, j + 1)
        if np.abs(tau - before).max() <= _CONVERGED:
            break
    return tau[1:-1, 1:-1]


def _sweep(tau: np.ndarray, step: np.ndarray, free: np.ndarray, i: np.ndarray, j: np.ndarray) -> None:
    """One diagonal of points in place."""
    a = np.minimum(tau[i, j - 1], tau[i, j + 1])
    b = np.minimum(tau[i - 1, j], tau[i + 1, j])
    least, cost, apart = np.minimum(a, b), step[i, j], np.abs(a - b)
    root = np.sqrt(np.maximum(2 * cost**2 - apart**2, 0))
    found = least + np.where(apart < cost, (apart + root) / 2, cost)
    tau[i, j] = np.where(free[i, j], np.minimum(tau[i, j], found), tau[i, j])
