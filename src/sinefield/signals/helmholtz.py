"""Waves of one frequency around sources in a medium, with absorbing layers: the Helmholtz equation's solution.

    d/dx (e_y / e_x du/dx) + d/dy (e_x / e_y du/dy) + e_x e_y k^2 m u = s      in [-1, 1]^2
    e_t = 1 - i a (max(|t| - 1/2, 0) / (1/2))^2      m = 1 / c^2      s = sum_j z_j G(x - x_j)

G is the Gaussian of integral 1. u is complex: channel 0 is its real part, 1 its imaginary part. Its physical part is
|x|, |y| <= 1/2. It is solved by finite differences (solvers/helmholtz.py), for the scores alone: a field sees the
coefficients and the sources. Values are in units of the largest one. Source: Sitzmann et al., arXiv 2006.09661, sec.
4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.signals import media, spline
from sinefield.signals.base import Signal
from sinefield.signals.incident import Incident
from sinefield.solvers import helmholtz

_DEGREE = 3
_PARTS = 8  # of a spacing along each axis, at which a medium is averaged
_BLOCK = 256  # nodes around which that is done at a time
_ALONE, _BESIDE = (0.0, 0.0), (-0.35, 0.0)  # the paper's source in a uniform medium, and beside the square or the disc


class Helmholtz(Signal):
    """The field u of some sources.

    Args:
        medium: uniform, square (c = 2 where |x|, |y| < 0.3), disc (c = 2 where r < 0.1), an .npy of 1 / c^2, or a
            picture, whose white is c = 1 and whose black is c = 2.
        k: wave number where c = 1, in radians per unit of coordinate.
        variance: of the Gaussian that each source is, in units of coordinate squared.
        sources: (x, y, real, imaginary) each: place and amplitude; None for the paper's, of amplitude 1 + i.
        absorption: a, of the layers.
        size: nodes along each side of the finite differences, and of a second grid twice as fine.
        incident: take off a known field, the wave that a source sends out where the medium is as around it: a field
            has the smooth rest to learn.

    Raises:
        UserError: a number is out of its range, or the medium cannot be read.
    """

    c: Tensor

    def __init__(
        self,
        medium: str | Path = "uniform",
        k: float = 20.0,
        variance: float = 1e-4,
        sources: Sequence[Sequence[float]] | None = None,
        absorption: float = 5.0,
        size: int = 301,
        incident: bool = True,
    ) -> None:
        self.size = integer("signal.size", size, least=5, most=1025)  # 2,049 along a side of the finer grid
        super().__init__((self.size, self.size), 2)
        self.medium = media.medium(medium)
        self.files = self.medium.files
        self.k, self.variance = positive("signal.k", k), positive("signal.variance", variance)
        self.absorption = positive("signal.absorption", absorption)
        if sources is None:
            sources = [(*(_ALONE if str(medium) == "uniform" else _BESIDE), 1.0, 1.0)]
        numbers = all(isinstance(source, list | tuple) and len(source) == 4 for source in sources) and len(sources) > 0
        cure = "give [x, y, real, imaginary] of each, such as [[-0.35,0,1,1]]"
        require(numbers, f"signal.sources must be places and amplitudes, not {sources!r}; {cure}")
        self.sources = [(float(x), float(y), complex(re, im)) for x, y, re, im in sources]
        inside = all(max(abs(x), abs(y)) <= 0.5 for x, y, _ in self.sources)
        require(inside, "signal.sources: a source lies in an absorbing layer; keep |x| and |y| at most 0.5")
        require(any(z != 0 for *_, z in self.sources), "signal.sources: every amplitude is 0; give one that is not")
        u = helmholtz.reference(self.medium, self.sources_at, self.k, self.size, self.absorption)
        values = np.stack([u.real, u.imag], axis=-1)
        self.unit = float(np.abs(values).max())
        self.known = [self._incident(*source) for source in self.sources] if incident else []
        coefficients = spline.coefficients(values / self.unit, _DEGREE)
        self.register_buffer("c", torch.from_numpy(coefficients).to(self.extent))

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, 2), gradient (N, 2, 2) and Laplacian (N, 2, 1) of u, as deep as `order` asks."""
        return spline.evaluate(self.c, self.pixels(x), _DEGREE, order, self.spacing)

    def shown(self, x: Tensor, values: Tensor) -> Tensor:
        """u (N, 2) at x (N, 2) from the values (N, 2) of a field there: the known field is added."""
        if not self.known:
            return values
        return values + torch.view_as_real(sum(one(x.double(), 0).value for one in self.known)[:, 0]).to(values)  # type: ignore[index]

    def coefficients(self, x: Tensor, cell: float = 0.0) -> Tensor:
        """(N, 6) complex: a_xx, a_yy, a_x, a_y, a and s of ``a_xx u_xx + a_yy u_yy + a_x u_x + a_y u_y + a u = s``.

        Args:
            x: (N, 2) coordinates.
            cell: spacing of the grid that they are, over which m is averaged; 0 for m at the points.
        """
        x = x.double()
        past = (x.abs() - 0.5).clamp(min=0) / 0.5
        (ex, ey), (dx, dy) = (
            (1 - 1j * self.absorption * past**2).unbind(1),
            (-4j * self.absorption * past * x.sign()).unbind(1),
        )
        m = self._averaged(x, cell) if cell else self.medium(x)
        parts = [ey / ex, ex / ey, -ey * dx / ex**2, -ex * dy / ey**2, ex * ey * self.k**2 * m]
        right = self.sources_at(x) / self.unit
        for one in self.known:
            g = one(x, 2)
            assert g.gradient is not None
            assert g.second is not None
            derivatives = [*g.second[:, 0].unbind(1), *g.gradient[:, 0].unbind(1), g.value[:, 0]]
            right = right - sum(a * d for a, d in zip(parts, derivatives, strict=True))
        return torch.stack([*parts, right], dim=1)

    def sources_at(self, x: Tensor) -> Tensor:
        """s (N,), complex, at x (N, 2)."""
        return torch.stack([z * helmholtz.gaussian(x, (px, py), self.variance) for px, py, z in self.sources]).sum(0)

    def _averaged(self, x: Tensor, cell: float) -> Tensor:
        """m (N,) for sums over a grid x (N, 2) of spacing `cell`: its mean with the weights of cubic convolution.

        A sum over the nodes of `m f` is then the integral of m times the interpolant of f, exact for quadratic f
        wherever m jumps, where means over the cells themselves leave an error of the square of the spacing. Source:
        Keys, Cubic convolution interpolation for digital image processing, IEEE Trans. ASSP 29(6), 1981.
        """
        t = (torch.arange(4 * _PARTS, dtype=x.dtype, device=x.device) + 0.5) / _PARTS - 2
        a = t.abs()
        weights = torch.where(a < 1, 1.5 * a**3 - 2.5 * a**2 + 1, -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2)
        weights = weights / weights.sum()
        around, products = torch.cartesian_prod(t * cell, t * cell), torch.outer(weights, weights).flatten()
        blocks = ((some[:, None] + around).flatten(0, 1) for some in x.split(_BLOCK))
        return torch.cat([self.medium(block).unflatten(0, (-1, len(around))) @ products for block in blocks])

    def _incident(self, x: float, y: float, amplitude: complex) -> Incident:
        m = self.medium(torch.tensor([[x, y]], dtype=torch.float64)).item()
        return Incident((x, y), self.k * m**0.5, self.variance, amplitude / self.unit)
