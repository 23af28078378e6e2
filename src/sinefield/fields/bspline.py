"""A uniform cubic B-spline whose coefficients are trained: the classical rival of every network.

    f(x) = sum_k c_k prod_d B(u_d - k_d),      u = M (x + 1) / 2,      k_d = -1 .. M + 1

with B the cubic B-spline, 1/6 (2 - |u|)^3 for 1 <= |u| <= 2 and 2/3 - u^2 + |u|^3/2 for |u| <= 1. It is twice
continuously differentiable, and its jets are exact. M = n - 1 cells for n samples can interpolate all of them; the
signal's own spline does so by solving for c what is found here by descent, with other conditions at the border.
Source: Unser, Splines: A Perfect Fit for Signal and Image Processing, IEEE Signal Processing Magazine 16(6), 1999.
"""

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sinefield.core import autocast
from sinefield.core.jet import Jet, coordinates
from sinefield.core.lattice import chain, neighbours, products
from sinefield.errors import integer, positive, require
from sinefield.fields import layerwise
from sinefield.fields.mlp import MOST


class BSpline(nn.Module):
    """f: R^D -> R^C on a grid over [-1, 1]^D; beyond it the outermost cells' cubics go on.

    Args:
        in_features, out_features: D and C.
        samples: n, of the signal along its longest side.
        spacing: of the grid, in spacings of the samples; above 1 it smooths.

    >>> field = BSpline(2, 3, samples=9)
    >>> field(torch.zeros(5, 2)).shape, field.jet(torch.zeros(5, 2), order=2).laplacian.shape
    (torch.Size([5, 3]), torch.Size([5, 3]))
    """

    max_order = 2

    def __init__(self, in_features: int, out_features: int, samples: int = 256, spacing: float = 1.0) -> None:
        super().__init__()
        self.dims = integer("field.in_features", in_features, least=1)
        channels = integer("field.out_features", out_features, least=1)
        samples = integer("field.samples", samples, least=2)
        self.cells = max(1, round((samples - 1) / positive("field.spacing", spacing)))
        count = (self.cells + 3) ** self.dims
        many = f"field.samples={samples} and field.spacing={spacing} make {count * channels:,} coefficients"
        require(count * channels <= MOST, f"{many}, of {MOST:,} at most; take a larger spacing")
        self.coefficients = nn.Parameter(torch.zeros(count, channels))

    @property
    def stack(self) -> torch.Size:
        """(K,) for K splines at once; () for one."""
        return self.coefficients.shape[:-2]

    @property
    def head(self) -> Any:
        """As of a network's last layer: a linear map of the 4^D basis functions that are not 0 at a point."""
        return SimpleNamespace(
            in_features=4**self.dims, weight=self.coefficients, out_features=self.coefficients.shape[-1]
        )

    @property
    def activation(self) -> "BSpline":
        """None of its own: reports name what stands here."""
        return self

    def jet(
        self, x: Tensor, order: int, operators: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> Jet:
        """Value (N, C), gradient (N, C, D), second derivatives (N, C, M); arguments as of `CoordinateMLP.jet`."""
        if parameters is not None:
            return layerwise.jet_given(cast("Any", self), parameters, x, order, operators)
        x = x.expand(*self.stack, *x.shape) if self.stack else x
        u = (x + 1) / 2 * self.cells
        cell = u.detach().floor().clamp(0, self.cells - 1)
        steps = x.new_tensor([(self.cells + 3) ** (self.dims - 1 - d) for d in range(self.dims)]).long()
        index = ((cell.long().unsqueeze(-2) + neighbours(4, self.dims, x.device)) * steps).sum(-1)  # (.., N, 4^D)
        if self.stack:
            index = index + (torch.arange(*self.stack, device=x.device) * self.coefficients.shape[-2])[:, None, None]
        with autocast.off(x.device.type):
            found = products(cubics(u - cell, order), functional.embedding(index, self.coefficients.flatten(0, -2)))
            parts = [part * (self.cells / 2) ** depth for depth, part in enumerate(found)]
            return chain(coordinates(x, order, operators), parts)

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (..., C) at coordinates x: (..., D)."""
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*self.stack, *x.shape[:-1], value.shape[-1])


def cubics(t: Tensor, order: int) -> list[Tensor]:
    """B, B', B'' at t + 1, t, t - 1, t - 2 for t in [0, 1]: (.., 4) each, as many as asked."""
    s = 1 - t
    rows = [
        (s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3),
        (-3 * s**2, 9 * t**2 - 12 * t, 12 * s - 9 * s**2, 3 * t**2),
        (6 * s, 18 * t - 12, 18 * s - 12, 6 * t),
    ]
    return [torch.stack(row, dim=-1) / 6 for row in rows[: order + 1]]


@cache
def interpolation(n: int) -> Tensor:
    """(n + 2, n), double: from n samples to the coefficients of the not-a-knot spline; of a cubic, to that cubic.

    >>> c = interpolation(9) @ torch.arange(9.0, dtype=torch.float64) ** 3
    >>> round((c[5:9] @ cubics(torch.tensor(0.5, dtype=torch.float64), 0)[0]).item(), 9)  # at 5.5
    166.375
    """
    system = torch.zeros(n + 2, n + 2, dtype=torch.float64)
    for row in range(n):
        system[row + 1, row : row + 3] = torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64) / 6
    jump = torch.tensor([1.0, -4.0, 6.0, -4.0, 1.0], dtype=torch.float64)  # of the third derivative at a knot
    system[0, :5], system[-1, -5:] = jump, jump
    return torch.linalg.inv(system)[:, 1:-1].contiguous()
