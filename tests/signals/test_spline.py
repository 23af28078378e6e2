"""The spline through samples: its order of convergence, scipy's splines, and polynomials it must reproduce."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RectBivariateSpline, make_interp_spline

from sinefield.signals import spline

pytestmark = pytest.mark.usefixtures("float64")

DEGREES = (3, 5, 7)


def jet_of(samples: np.ndarray, u: np.ndarray, degree: int, order: int = 2):
    """The jet of the spline through samples (n_1, ..., n_D, C) at positions u (N, D), as arrays."""
    c = torch.from_numpy(spline.coefficients(samples, degree))
    jet = spline.evaluate(c, torch.from_numpy(u).flip(-1), degree, order)
    gradient = None if jet.gradient is None else jet.gradient.flip(-1)
    return [part.numpy() for part in (jet.value, gradient, jet.laplacian)[: order + 1]]


def largest(error: np.ndarray) -> float:
    return float(np.abs(error).max())


class TestConvergence:
    SIZES = (17, 33, 65, 129)

    @pytest.mark.parametrize("degree", [3, 5])
    def test_full_order_up_to_the_border(self, degree):
        """exp(x) sin(3 y), not periodic: max errors over the box with its border fall as h^(p+1), h^p, h^(p-1).

        The order observed at every doubling is at least that less 0.3.
        """
        fine = np.linspace(-1, 1, 101)  # shares no more than border and middle with the samples
        x, y = (axis.ravel() for axis in np.meshgrid(fine, fine, indexing="ij"))
        truth = np.exp(x) * np.sin(3 * y)
        slopes = np.stack([truth, 3 * np.exp(x) * np.cos(3 * y)], axis=1)
        errors = []
        for n in self.SIZES:
            h, side = 2 / (n - 1), np.linspace(-1, 1, n)
            samples = np.exp(side)[:, None, None] * np.sin(3 * side)[None, :, None]
            value, gradient, laplacian = jet_of(samples, (np.stack([x, y], axis=1) + 1) / h, degree)
            found = value[:, 0] - truth, gradient[:, 0] / h - slopes, laplacian[:, 0] / h**2 - (1 - 9) * truth
            errors.append([largest(part) for part in found])
        orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
        assert (orders >= np.array([degree + 1, degree, degree - 1]) - 0.3).all(), orders


class TestAgainstScipy:
    @pytest.mark.parametrize("degree", DEGREES)
    @pytest.mark.parametrize("n", [8, 9, 40])
    def test_curves(self, degree, n):
        """make_interp_spline, which is not-a-knot too: values and two derivatives of two channels to 1e-10."""
        samples, u = np.random.default_rng(0).normal(size=(n, 2)), np.linspace(0, n - 1, 301)
        value, gradient, laplacian = jet_of(samples, u[:, None], degree)
        scipys = make_interp_spline(np.arange(n), samples, k=degree)
        # derivatives per sample, of noise of size 1: absolute errors are relative ones
        assert largest(value - scipys(u)) < 1e-10
        assert largest(gradient[..., 0] - scipys(u, 1)) < 1e-10
        assert largest(laplacian - scipys(u, 2)) < 1e-10

    def test_pictures(self):
        """RectBivariateSpline(kx = ky = 3, s = 0): value, both partial derivatives and the Laplacian to 1e-10."""
        rng = np.random.default_rng(0)
        samples, u = rng.normal(size=(13, 20)), rng.uniform(0, 1, (300, 2)) * [12, 19]
        u[:4] = [[0, 0], [12, 0], [0, 19], [12, 19]]
        value, gradient, laplacian = jet_of(samples[..., None], u, 3)
        scipys = RectBivariateSpline(np.arange(13), np.arange(20), samples, kx=3, ky=3, s=0)

        def at(*derivatives: int) -> np.ndarray:
            return scipys.ev(*u.T, *derivatives)

        assert largest(value[:, 0] - at(0, 0)) < 1e-10
        assert largest(gradient[:, 0, 0] - at(1, 0)) < 1e-10
        assert largest(gradient[:, 0, 1] - at(0, 1)) < 1e-10
        assert largest(laplacian[:, 0] - at(2, 0) - at(0, 2)) < 1e-10


class TestExactness:
    @pytest.mark.parametrize("degree", DEGREES)
    @pytest.mark.parametrize("dims", [1, 2, 3])
    def test_polynomials_of_its_degree_are_reproduced(self, degree, dims):
        """A product of polynomials of degree p per axis, with gradient and Laplacian, to 1e-10 of their size."""
        rng, shape = np.random.default_rng(0), (degree + 1, degree + 4, degree + 2)[:dims]
        # in units in which the axis spans [-1, 1], lest u^7 drown the rounding
        factors = [np.polynomial.Polynomial(rng.normal(size=degree + 1), domain=[0, n - 1]) for n in shape]

        def product(u, *derivatives):
            parts = [f.deriv(k)(u[:, d]) for d, (f, k) in enumerate(zip(factors, derivatives, strict=True))]
            return np.prod(parts, axis=0)

        def at(u, k):
            return np.stack([product(u, *(k * (d == e) for e in range(dims))) for d in range(dims)], axis=-1)

        nodes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, dims)
        samples = product(nodes.astype(float), *(0,) * dims).reshape(*shape, 1)
        u = rng.uniform(0, 1, (100, dims)) * (np.array(shape) - 1)
        value, gradient, laplacian = jet_of(samples, u, degree)
        for found, expected in (
            (value[:, 0], product(u, *(0,) * dims)),
            (gradient[:, 0], at(u, 1)),
            (laplacian[:, 0], at(u, 2).sum(axis=1)),
        ):
            assert largest(found - expected) < 1e-10 * max(1, largest(expected))

    @pytest.mark.parametrize("degree", DEGREES)
    @pytest.mark.parametrize("shape", [(8,), (8, 11), (8, 9, 10)])
    def test_goes_through_the_samples(self, degree, shape):
        """At integer positions, the last one on each axis included, every channel has its sample.

        To 1e-10 of the samples: degree 7 in three dimensions loses five digits to its not-a-knot rows.
        """
        samples = np.random.default_rng(0).normal(size=(*shape, 3))
        nodes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, len(shape))
        (value,) = jet_of(samples, nodes.astype(float), degree, order=0)
        assert largest(value - samples.reshape(-1, 3)) < 1e-10

    @pytest.mark.parametrize("degree", DEGREES)
    def test_goes_on_as_the_border_polynomial(self, degree):
        """A polynomial of degree p is reproduced outside the samples too: no clamping, no wrapping."""
        f = np.polynomial.Polynomial(np.random.default_rng(0).normal(size=degree + 1), domain=[0, 9])
        u = np.array([-1.5, -0.1, 9.1, 10.5])
        value, gradient, laplacian = jet_of(f(np.arange(10.0))[:, None], u[:, None], degree)
        assert largest(value[:, 0] - f(u)) < 1e-9
        assert largest(gradient[:, 0, 0] - f.deriv()(u)) < 1e-9
        assert largest(laplacian[:, 0] - f.deriv(2)(u)) < 1e-9

    @pytest.mark.parametrize("degree", DEGREES)
    @pytest.mark.parametrize("derivative", [0, 1, 2])
    def test_weights_are_a_partition_of_unity(self, degree, derivative):
        """The p + 1 B-splines sum to 1 everywhere, their derivatives to 0."""
        weights = spline.weights(torch.linspace(0, 1, 50), degree, derivative)
        assert weights.shape == (50, degree + 1)
        assert torch.allclose(weights.sum(dim=1), torch.full((50,), float(derivative == 0)), atol=1e-14)


@pytest.mark.parametrize("degree", [3, 5])
def test_twice_as_fine(degree):
    """What it has at every sample and in the middle between them."""
    samples = np.random.default_rng(0).standard_normal((9, 7, 2))
    positions = torch.stack(torch.meshgrid(torch.arange(17) / 2, torch.arange(13) / 2, indexing="ij"), dim=-1)
    c = torch.from_numpy(spline.coefficients(samples, degree))
    expected = spline.evaluate(c, positions.double().flatten(0, 1).flip(-1), degree, 0).value.reshape(17, 13, 2)
    assert np.abs(spline.refined(samples, degree) - expected.numpy()).max() < 1e-12
