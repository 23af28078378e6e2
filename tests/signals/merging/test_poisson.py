"""Classical solvers: exact where there is a potential, second order where there is none, and each like the other."""

import numpy as np
import pytest

from sinefield.errors import UserError
from sinefield.signals.merging.poisson import dirichlet, neumann

SHAPES = ((4, 4), (5, 9), (9, 5), (16, 17))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape)


def differences(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.diff(u, axis=1), np.diff(u, axis=0)


def largest(error: np.ndarray) -> float:
    return float(np.abs(error).max())


class TestPotentials:
    """Differences of a picture of noise give the picture back to rounding, in every channel."""

    @pytest.mark.parametrize("shape", SHAPES)
    def test_neumann(self, shape):
        u = noise(*shape, 3)
        assert largest(neumann(*differences(u), u) - u) < 1e-12

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_dirichlet(self, shape, share):
        """Any pixels unknown, also on the border and in several pieces; what stands in them is not looked at."""
        u = noise(*shape, 3)
        unknown = np.random.default_rng(1).uniform(size=shape) < share
        found = dirichlet(*differences(u), np.where(unknown[..., None], 7.0, u), unknown)
        assert largest(found - u) < 1e-11

    def test_neumann_keeps_the_mean_over_the_box(self):
        """By the trapezoidal rule; the values themselves do not matter."""
        u, values = noise(6, 8, 2), noise(6, 8, 2)[::-1] + 3
        found = neumann(*differences(u), values)
        assert np.ptp(found - u, axis=(0, 1)).max() < 1e-12
        means = [np.trapezoid(np.trapezoid(part, axis=0), axis=0) for part in (found, values)]
        assert largest(means[0] - means[1]) < 1e-10


class TestConvergence:
    """v = grad u + (d psi/dy, -d psi/dx), u = exp(x) cos(2 y) on [0, 1]^2: the rotation has no divergence.

    Maximum errors against u on grids of 9, 17, 33, 65 points a side fall as h^2: order at least 1.8 at every doubling.
    """

    SIZES = (9, 17, 33, 65)

    @staticmethod
    def problem(n: int, phase: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u and the integrals of v along the edges, in closed form; psi = sin(pi x) sin(2 pi y + phase)."""
        y, x = np.meshgrid(*[np.pi * np.linspace(0, 1, n)] * 2, indexing="ij")
        u = np.exp(x / np.pi) * np.cos(2 * y / np.pi)
        right = 2 * np.cos(2 * y + phase)[:, :-1] * -np.diff(np.cos(x), axis=1)
        down = -np.cos(x)[:-1] * -np.diff(np.cos(2 * y + phase), axis=0) / 2
        return tuple(part[..., None] for part in (u, np.diff(u, axis=1) + right, np.diff(u, axis=0) + down))

    @staticmethod
    def orders(errors: list[float]) -> np.ndarray:
        return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))

    def test_neumann(self):
        """With psi = 0 on the border, v is grad u across it."""
        errors = []
        for n in self.SIZES:
            u, across, down = self.problem(n, phase=0.0)
            error = neumann(across, down, u) - u
            errors.append(largest(error - error.mean()))
        assert errors[0] > 1e-3
        assert (self.orders(errors) > 1.8).all(), errors

    @pytest.mark.parametrize(("rows", "phase"), [(slice(1, -1), 1.0), (slice(None), 0.0)])
    def test_dirichlet(self, rows, phase):
        """Values given on all four sides, any psi; and on left and right alone, psi = 0 above and below."""
        errors = []
        for n in self.SIZES:
            u, across, down = self.problem(n, phase)
            unknown = np.zeros((n, n), bool)
            unknown[rows, 1:-1] = True
            errors.append(largest(dirichlet(across, down, u, unknown) - u))
        assert errors[0] > 1e-4
        assert (self.orders(errors) > 1.8).all(), errors


class TestAgainstEachOther:
    def test_dirichlet_with_neumanns_values(self):
        """Least squares of noise: given Neumann's solution on some pixels, Dirichlet's is it on the others."""
        across, down, values = noise(11, 12, 2), noise(10, 13, 2), noise(11, 13, 2)
        u = neumann(across, down, values)
        unknown = np.random.default_rng(1).uniform(size=(11, 13)) < 0.7
        assert largest(dirichlet(across, down, u, unknown) - u) < 1e-11

    def test_neumann_is_the_minimum(self):
        """Against dense least squares with the weights of the edges written out."""
        across, down, values = noise(4, 4, 1), noise(3, 5, 1), noise(4, 5, 1)
        unit = np.eye(20).reshape(4, 5, 20)
        right, below = np.ones((4, 4, 1)), np.ones((3, 5, 1))
        right[[0, -1]] = below[:, [0, -1]] = 0.5
        rows = [
            (np.sqrt(right) * np.diff(unit, axis=1), np.sqrt(right) * across),
            (np.sqrt(below) * np.diff(unit, axis=0), np.sqrt(below) * down),
        ]
        matrix = np.concatenate([a.reshape(-1, 20) for a, _ in rows])
        expected = np.linalg.lstsq(matrix, np.concatenate([b.ravel() for _, b in rows]), rcond=None)[0].reshape(4, 5, 1)
        error = neumann(across, down, values) - expected
        assert largest(error - error.mean()) < 1e-12

    def test_a_region_without_a_given_neighbour(self):
        """The whole picture is unknown: the message says what to do."""
        u = noise(5, 6, 1)
        with pytest.raises(UserError, match="leave some pixel out"):
            dirichlet(*differences(u), u, np.ones((5, 6), bool))

    def test_nothing_unknown(self):
        """Everything stays."""
        u = noise(5, 6, 1)
        assert np.array_equal(dirichlet(*differences(u), u, np.zeros((5, 6), bool)), u)
