"""The finite-difference solver against the Hankel function, and its order of convergence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import hankel2, jv

from sinefield.errors import UserError
from sinefield.signals.media import Square
from sinefield.solvers import helmholtz

K, VARIANCE = 20.0, 4e-3


def outgoing(r: np.ndarray, variance: float = VARIANCE, k: float = K) -> np.ndarray:
    """i/4 H0 convolved with a Gaussian of integral 1, at distances r (n,), by Graf's addition theorem:

    u(r) = i pi / 2 (H(kr) int_0^r J(kt) s(t) t dt + J(kr) int_r^inf H(kt) s(t) t dt)
    """

    def weighted(function, t):
        return function(0, k * t) * np.exp(-(t**2) / (2 * variance)) / (2 * np.pi * variance) * t

    end, found = 12 * variance**0.5, []
    for near in np.minimum(r, end):
        inner = quad(lambda t: weighted(jv, t), 0, near)[0]
        outer = [quad(lambda t, part=part: part(weighted(hankel2, t)), near, end)[0] for part in (np.real, np.imag)]
        found.append((inner, outer[0] + 1j * outer[1]))
    inner, outer = np.array(found).T
    safe = np.maximum(r, 1e-12)
    return 0.5j * np.pi * (hankel2(0, k * safe) * inner + jv(0, k * safe) * outer)


def uniform(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(x), dtype=x.dtype)


def source(x: torch.Tensor) -> torch.Tensor:
    return (1 + 1j) * helmholtz.gaussian(x, variance=VARIANCE)


def on_a_ray(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """r (m,) and u from the centre to the right, in the physical part."""
    n = len(u)
    x = np.linspace(-1, 1, n)[n // 2 : n // 2 + n // 4 + 1]
    return x, u[n // 2, n // 2 : n // 2 + n // 4 + 1]


def relative(u: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(u - expected) / np.linalg.norm(expected))


def solved(n: int) -> np.ndarray:
    values = source(helmholtz.points(n).reshape(-1, 2)).reshape(n, n).numpy()
    return helmholtz.solve(np.ones((n, n)), values, K)


def test_a_uniform_medium_gives_the_hankel_function_with_order_two():
    """Every halving of the spacing divides the error by 4."""
    errors = []
    for n in (81, 161, 321):
        r, u = on_a_ray(solved(n))
        errors.append(relative(u, (1 + 1j) * outgoing(r)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 5e-3
    assert orders == pytest.approx(2, abs=0.1)


def test_richardson_has_order_four():
    """And the extrapolated one by 16, down to what the layers send back."""
    errors = []
    for n in (41, 81, 161):
        r, u = on_a_ray(helmholtz.reference(uniform, source, K, n))
        errors.append(relative(u, (1 + 1j) * outgoing(r)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1e-4
    assert orders == pytest.approx(4, abs=0.5)


def test_an_edge_of_the_medium_keeps_the_order():
    """The square, whose edges lie on nodes: differences of successive grids fall by 4, and by more extrapolated."""
    square = Square()

    def off_centre(x):
        return helmholtz.gaussian(x, (-0.35, 0.0), VARIANCE)

    def on(n):
        values = off_centre(helmholtz.points(n).reshape(-1, 2)).reshape(n, n).numpy()
        return helmholtz.solve(helmholtz.averaged(square, n), values, K)

    grids = [on(n)[:: (n - 1) // 40, :: (n - 1) // 40][10:31, 10:31] for n in (81, 161, 321)]
    plain = [relative(a, b) for a, b in pairwise(grids)]
    assert np.log2(plain[0] / plain[1]) == pytest.approx(2, abs=0.4)
    better = helmholtz.reference(square, off_centre, K, 161)[::4, ::4][10:31, 10:31]
    assert relative(better, grids[2]) < 0.5 * plain[1]


def test_several_sources_are_solved_at_once():
    right = np.stack([np.eye(31), 1j * np.ones((31, 31))])
    medium = 1 + 0.3 * np.outer(np.arange(31), np.arange(31)) / 900
    both = helmholtz.solve(medium, right, 7.0)
    assert both.shape == (2, 31, 31)
    for alone, u in zip(right, both, strict=True):
        assert relative(helmholtz.solve(medium, alone, 7.0), u) < 1e-12


def test_the_difference_equation_holds():
    """At every node inside, written out with slices; y down the rows."""
    n, k = 41, 9.0
    rng = np.random.default_rng(0)
    medium, right = 1 + rng.random((n, n)), rng.standard_normal((n, n)) + 1j
    u = helmholtz.solve(medium, right, k)
    nodes, h = np.linspace(-1, 1, n), 2 / (n - 1)
    e, halves = helmholtz.stretch(nodes), helmholtz.stretch(nodes[:-1] + h / 2)
    across = e[1:-1, None] * np.diff(np.diff(u, axis=1)[1:-1] / halves, axis=1)
    down = e[1:-1] * np.diff(np.diff(u, axis=0)[:, 1:-1] / halves[:, None], axis=0)
    mass = (e[:, None] * e * k**2 * medium * u)[1:-1, 1:-1]
    assert relative((across + down) / h**2 + mass, right[1:-1, 1:-1]) < 1e-11


def test_bad_input_is_one_line():
    with pytest.raises(UserError, match="same number of rows"):
        helmholtz.solve(np.ones((20, 30)), np.ones((20, 20)), 3.0)
    with pytest.raises(UserError, match="does not fit a medium"):
        helmholtz.solve(np.ones((20, 20)), np.ones((10, 10)), 3.0)
    with pytest.raises(UserError, match="not finite"):
        helmholtz.solve(np.full((20, 20), np.nan), np.ones((20, 20)), 3.0)
