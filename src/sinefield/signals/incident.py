"""The wave that a Gaussian source sends out in a uniform medium, cut off smoothly at a distance.

    g(x) = z chi(r) u(r)      u = i pi / 2 (H(kr) int_0^r J(kt) G(t) t dt + J(kr) int_r^inf H(kt) G(t) t dt)

with H and J the Hankel (second kind) and Bessel functions of order 0, so that ``u'' + u' / r + k^2 u = G`` and u is
outgoing for exp(+i w t). chi is 1 up to r = `inner` and 0 from `outer` on, twice continuously differentiable.
Source: Graf's addition theorem, Abramowitz & Stegun 9.1.79.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import CubicHermiteSpline
from scipy.special import hankel2, jv
from torch import Tensor

from sinefield.core.jet import Jet

_PANELS, _NODES = 400, 6  # of the quadrature along r, denser towards 0


class Incident:
    """g and its derivatives, complex.

    Args:
        centre: (x, y) of the source.
        k: wave number around it.
        variance: of the Gaussian.
        amplitude: z.
        inner, outer: distances between which it is cut off.
    """

    def __init__(
        self,
        centre: tuple[float, float],
        k: float,
        variance: float,
        amplitude: complex = 1.0,
        inner: float = 0.0,
        outer: float = 0.5,
    ) -> None:
        self.centre, self.k, self.variance, self.amplitude = centre, k, variance, amplitude
        self.inner, self.outer = inner, outer
        self._u, self._du = self._tabulated(max(outer, 12 * variance**0.5))

    def __call__(self, x: Tensor, order: int) -> Jet:
        """g (N, 1), gradient (N, 1, 2) and both pure second derivatives (N, 1, 2) at x (N, 2), in double precision."""
        away = x.double() - x.new_tensor(self.centre, dtype=torch.float64)
        r = torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp(min=1e-9)
        found = torch.from_numpy(self._radial(r.cpu().numpy())).to(x.device)
        g, slope, curvature = self.amplitude * found  # (N, 1) each
        unit = away / r
        gradient = slope * unit
        second = curvature * unit**2 + slope / r * (1 - unit**2)
        return Jet(*[g, gradient[:, None], second[:, None]][: order + 1])

    def _radial(self, r: np.ndarray) -> np.ndarray:
        """(3, ..): chi u and its first and second derivative at distances r."""
        width = self.outer - self.inner
        near = np.minimum(r, self.outer)
        u, du = self._u(near), self._du(near)
        ddu = self._second(near, u, du)
        t = ((near - self.inner) / width).clip(0, 1)
        chi = 1 - t**3 * (10 - 15 * t + 6 * t**2)
        dchi = -30 * t**2 * (1 - t) ** 2 / width
        ddchi = -60 * t * (1 - t) * (1 - 2 * t) / width**2
        return np.stack([chi * u, dchi * u + chi * du, ddchi * u + 2 * dchi * du + chi * ddu])

    def _second(self, r: np.ndarray, u: np.ndarray, du: np.ndarray) -> np.ndarray:
        """u'' by the equation, r > 0."""
        return self._weight(r) - du / r - self.k**2 * u

    def _weight(self, r: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-(r**2) / (2 * self.variance)) / (2 * np.pi * self.variance))

    def _tabulated(self, end: float) -> tuple[CubicHermiteSpline, CubicHermiteSpline]:
        """u and u' up to a distance, by Gauss's rule between nodes that are denser towards the source."""
        k, r = self.k, end * np.linspace(0, 1, _PANELS + 1) ** 2
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        half = np.diff(r)[:, None] / 2
        t = r[:-1, None] + half * (nodes + 1)
        inner, outer = ((f(0, k * t) * self._weight(t) * t * weights * half).sum(1) for f in (jv, hankel2))
        inner, outer = np.cumsum([0, *inner]), np.cumsum([0, *outer[::-1]])[::-1]
        away = r[1:]
        u = np.concatenate([outer[:1], hankel2(0, k * away) * inner[1:] + jv(0, k * away) * outer[1:]])
        du = -k * np.concatenate([[0], hankel2(1, k * away) * inner[1:] + jv(1, k * away) * outer[1:]])
        u, du = np.asarray(0.5j * np.pi * u), np.asarray(0.5j * np.pi * du)
        at_source = (self._weight(r[:1]) - k**2 * u[:1]) / 2  # u'' = u' / r there
        second = np.concatenate([at_source, self._second(away, u[1:], du[1:])])
        return CubicHermiteSpline(r, u, du), CubicHermiteSpline(r, du, second)
