"""Waves of some frequencies in a medium, differentiated by the adjoint: a sparse factorisation per frequency and step.

    A(m) u = s,   d = P u,      dJ/dm = -Re sum_sources e_x e_y k^2 u v,   A v = P^T conj(dJ/dd)

A is the symmetric matrix of `helmholtz.Operator`, so the adjoint field v costs one more solution with its factors.
dJ/dd is torch's gradient of a real J by a complex number, dJ/dRe + i dJ/dIm.
Source: Plessix, A review of the adjoint-state method, Geophys. J. Int. 167(2), 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sinefield.errors import positive, require
from sinefield.solvers import helmholtz
from sinefield.solvers.propagator import Propagator


class Scattering(Propagator):
    """The Helmholtz equation at wave numbers k; the medium is m = 1 / c^2 in the physical part |x|, |y| <= 1/2.

    Into the absorbing layers around it the medium goes on as it is at the border. Data are (S, 2 K, R): at each
    of K wave numbers the real, then the imaginary parts at the R receivers.

    Args:
        wavenumbers: K of them, in radians per unit of coordinate where m = 1.
        variance: of the sources, Gaussians whose integral is 1.
        absorption: of the layers.

    Raises:
        UserError: a wave number or the variance is no positive number, or the medium's sides are unlike or even.
    """

    apart = True

    def __init__(
        self, wavenumbers: Sequence[float] = (5.0, 10.0, 20.0), variance: float = 4e-4, absorption: float = 5.0
    ) -> None:
        several = isinstance(wavenumbers, Sequence) and len(wavenumbers) > 0
        require(several, f"signal.propagator.wavenumbers must be a list such as [5,10,20], not {wavenumbers!r}")
        self.wavenumbers = [positive("each of signal.propagator.wavenumbers", k) for k in wavenumbers]
        self.variance = positive("signal.propagator.variance", variance)
        self.absorption = positive("signal.propagator.absorption", absorption)

    def __call__(self, medium: Tensor, sources: Tensor, receivers: Tensor) -> Tensor:
        """(S, 2 K, R), in the medium's precision; computed in double precision on the CPU."""
        side = len(medium)
        square = medium.shape == (side, side) and side % 2 == 1
        cure = "make both sides alike, and odd"
        require(square, f"a medium of shape {tuple(medium.shape)} cannot be framed by layers; {cure}")
        layer = side // 2
        whole = functional.pad(medium[None, None], [layer] * 4, mode="replicate")[0, 0]
        right = self._sources(len(whole), sources + layer)
        places = (receivers + layer - 1).cpu().numpy()  # among the nodes inside the border
        found = [cast("Tensor", _Data.apply(whole, right, places, k, self.absorption)) for k in self.wavenumbers]
        return torch.cat([part for data in found for part in (data.real[:, None], data.imag[:, None])], 1).to(medium)

    def waves(self, medium: Tensor, sources: Tensor) -> np.ndarray:
        """(S, K, n, n) complex, the waves in the whole box of n = 2 H - 1 nodes; arguments as of a call."""
        layer = len(medium) // 2
        whole = np.pad(medium.detach().cpu().double().numpy(), layer, mode="edge")
        right = self._sources(len(whole), sources + layer)
        found = [helmholtz.Operator(whole, k, self.absorption).solve(right) for k in self.wavenumbers]
        return np.pad(np.stack(found, axis=1), [(0, 0), (0, 0), (1, 1), (1, 1)])

    def _sources(self, n: int, nodes: Tensor) -> np.ndarray:
        """(S, n - 2, n - 2), Gaussians around nodes whose sums times h^2 are 1."""
        x, h = helmholtz.points(n), 2 / (n - 1)
        made = [helmholtz.gaussian(x, tuple(x[i, j].tolist()), self.variance) for i, j in nodes.tolist()]
        values = torch.stack(made)
        values = values / (values.sum((1, 2), keepdim=True) * h**2)
        return values[:, 1:-1, 1:-1].numpy()


class _Data(torch.autograd.Function):
    """d (S, R) complex, of the medium (n, n) alone, for right sides (S, n - 2, n - 2) and receivers (R, 2) in them."""

    @staticmethod
    def forward(ctx: Any, medium: Tensor, right: np.ndarray, receivers: np.ndarray, k: float, absorption: float) -> Any:
        """Factorise, and solve for all sources."""
        operator = helmholtz.Operator(medium.detach().cpu().double().numpy(), k, absorption)
        u = operator.solve(right)
        ctx.operator, ctx.u, ctx.receivers, ctx.medium = operator, u, receivers, medium.new_empty(0)
        return torch.from_numpy(u[:, receivers[:, 0], receivers[:, 1]])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """The adjoint fields of all sources' residuals."""
        right = np.zeros_like(ctx.u)
        which = np.arange(len(right))[:, None]
        np.add.at(right, (which, ctx.receivers[:, 0], ctx.receivers[:, 1]), gradients[0].conj().resolve_conj().numpy())
        inside = -(ctx.operator.scale * ctx.u * ctx.operator.solve(right)).sum(0).real
        return torch.from_numpy(np.pad(inside, 1)).to(ctx.medium), None, None, None, None
