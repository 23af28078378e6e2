"""The oracles of waves, heat, Poisson's equation and first arrivals, against closed forms and each other."""

import math

import numpy as np
import pytest
import skfmm

from sinefield.solvers.eikonal import first_arrivals
from sinefield.solvers.sines import heat, poisson
from sinefield.solvers.wave import leapfrog, spectral


def bell(x, std):
    return np.exp(-(x**2) / (2 * std**2))


def off(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


class TestWave:
    @pytest.mark.parametrize("moving", [0.0, 1.5])
    def test_spectral_is_dalembert(self, moving):
        """(g(x - ct) + g(x + ct)) / 2, and of a pulse that moves with c: g(x - ct) alone; to 1e-10."""
        c, std, n, half = 1.5, 0.1, 256, 4.0
        x = (np.arange(n) / n * 2 - 1) * half
        found = spectral(bell(x, std), moving * x / std**2 * bell(x, std), half, c, 1.0, 5)
        left, right = ((bell(x + s * c * np.linspace(0, 1, 5)[:, None], std)) for s in (1, -1))
        assert off(found, right if moving else (left + right) / 2) < 1e-10

    @pytest.mark.parametrize("order", [2, 4])
    @pytest.mark.parametrize("border", ["fixed", "free"])
    def test_leapfrog_converges_to_dalembert(self, order, border):
        """With images behind a border, u(2 - x) with its sign; half the spacing, 2^order times less error."""
        std, sign = 0.15, {"fixed": -1, "free": 1}[border]
        errors = []
        for n in (81, 161):
            x, h = np.linspace(-1, 1, n, retstep=True)
            found = leapfrog(bell(x, std), 0 * x, np.ones(n), h, 1.6, 3, border, order)[-1]
            pulses = [(0, 1), (2, sign), (-2, sign)]
            expected = sum(s * bell(x - at + d * 1.6, std) / 2 for at, s in pulses for d in (1, -1))
            errors.append(off(found, expected))
        assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)

    def test_a_velocity_of_leapfrog(self):
        """A pulse that moves with c = 1 goes on as it is: fourth order."""
        std, errors = 0.12, []
        for n in (81, 161):
            x, h = np.linspace(-1, 1, n, retstep=True)
            start = bell(x + 0.4, std)
            found = leapfrog(start, (x + 0.4) / std**2 * start, np.ones(n), h, 0.8, 2, "fixed", 4)[-1]
            errors.append(off(found, bell(x - 0.4, std)))
        assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)

    def test_leapfrog_in_the_plane_is_spectral(self):
        """Before anything meets the border, in a medium of constant speed: fourth order."""
        std, errors = 0.15, []
        for n in (49, 97):
            x, h = np.linspace(-1, 1, n, retstep=True)
            square = np.add.outer(x**2, x**2)
            start = np.exp(-square / (2 * std**2))
            exact = spectral(start, 0 * start, n * h / 2, 0.5, 0.4, 3)
            errors.append(off(leapfrog(start, 0 * start, 0 * start + 0.5, h, 0.4, 3, "free", 4), exact))
        assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)

    def test_two_media_reflect_and_transmit(self):
        """From c = 1 to c = 2: (c2 - c1) / (c2 + c1) = 1/3 comes back, 2 c2 / (c1 + c2) = 4/3 goes on."""
        std, n = 0.08, 1601
        x, h = np.linspace(-2, 2, n, retstep=True)
        start = bell(x + 1, std)
        speed = np.where(x < 0, 1.0, 2.0)
        speed[n // 2] = 1.6**0.5  # the mean of 1 / c^2 in its cell
        found = leapfrog(start, (x + 1) / std**2 * start, speed, h, 1.5, 2)[-1]
        expected = np.where(x < 0, bell(x + 0.5, std) / 3, 4 / 3 * bell(x - 1, 2 * std))
        assert off(found, expected) < 2e-3


class TestOthers:
    def test_poisson_of_a_product_of_sines(self):
        """-lap of sin(pi x) sin(2 pi y) is 5 pi^2 times it."""
        x = np.linspace(-1, 1, 41)
        u = np.outer(np.sin(np.pi * x), np.sin(2 * np.pi * x))
        assert off(poisson(5 * np.pi**2 * u, 1.0), u) < 1e-12

    def test_heat_of_a_gaussian(self):
        """Far from the ends it stays one, of variance std^2 + 2 a t."""
        x = np.linspace(-1, 1, 201)
        found = heat(bell(x, 0.1), 1.0, 0.05, 0.2, 5)
        deviation = np.sqrt(0.01 + 0.1 * np.linspace(0, 0.2, 5))[:, None]
        assert off(found, 0.1 / deviation * bell(x, deviation)) < 1e-6

    def test_arrivals_where_speed_grows_along_a_line(self):
        """c = 1 + x / 2: rays are arcs, and cosh(tau / 2) = 1 + |x - x0|^2 / (8 c(x) c(x0))."""
        errors = []
        for n in (51, 101, 201):
            x, h = np.linspace(-1, 1, n, retstep=True)
            columns, rows = np.meshgrid(x, x)
            speed = 1 + columns / 2
            found = first_arrivals(speed, h, (0.3 * (n - 1), 0.6 * (n - 1)))
            square = (columns + 0.4) ** 2 + (rows - 0.2) ** 2
            errors.append(off(found, 2 * np.arccosh(1 + square / (8 * speed * 0.8))))
        assert errors[2] < 9e-3
        assert errors[1] < 0.7 * errors[0]
        assert errors[2] < 0.7 * errors[1]

    def test_arrivals_in_a_constant_medium(self):
        """Distance over speed."""
        columns, rows = np.meshgrid(np.arange(20), np.arange(15))
        found = first_arrivals(np.full((15, 20), 2.0), 0.1, (7.5, 4))
        assert off(found, np.hypot(columns - 7.5, rows - 4) * 0.05) < 1e-14

    def test_arrivals_are_those_of_fast_marching(self):
        """In a medium that varies, of another's program of second order."""
        n = 201
        x, h = np.linspace(-1, 1, n, retstep=True)
        columns, rows = np.meshgrid(x, x)
        speed = 1 + 0.5 * np.sin(3 * columns) * np.cos(2 * rows)
        found = first_arrivals(speed, h, (50, 120))
        away = np.hypot(columns - x[50], rows - x[120])
        radius = 6 * h
        marched = skfmm.travel_time(away - radius, speed, dx=float(h)) + radius / speed[120, 50]
        far = away > radius
        assert off(found[far], marched[far]) < 8e-3
