"""Standing waves of a medium whose speed varies, by Galerkin's method.

``psi_i = sum_j V_ji phi_j`` satisfies ``-c^2 lap psi = w^2 psi`` weakly, on all phi_j, products of cosines or sines:

    K V = M V diag(w^2)      K_jl = int grad phi_j . grad phi_l      M_jl = int phi_j phi_l / c^2

K is diagonal; M is sums of the cosine coefficients of 1 / c^2, as 2 cos a cos b = cos(a - b) + cos(a + b).

Source: Strang & Fix, An Analysis of the Finite Element Method (1973), ch. 6 (eigenvalue problems).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Medium = Callable[[Tensor], Tensor]  # 1 / c^2 (N,) at places (N, 2), such as those of sinefield.signals.media

_NODES = 2**22  # of the quadrature, in all: in the plane jumps of c are placed to a part in 2,000 of the box
_NODES_ALONG = 2**14  # along an axis, at most


def galerkin(medium: Medium, numbers: Tensor, half: float, fixed: bool) -> tuple[Tensor, Tensor]:
    """V (J, J), of mean square about 1 over the box, and w (J,) in radians per second, by growing w.

    Args:
        medium: 1 / c^2.
        numbers: (J, d), half waves of each phi_j along each axis.
        half: half of the box.
        fixed: sines, which vanish on the border, in the place of cosines.
    """
    space = numbers.shape[1]
    coefficients = _cosines(medium, space, 2 * int(numbers.max()) + 1, half)
    mass = torch.zeros(len(numbers), len(numbers), dtype=torch.float64)
    for signs in range(2**space):
        index, sign = [], 1.0
        for d in range(space):
            one, other = numbers[:, None, d], numbers[None, :, d]
            plus = bool(signs >> d & 1)
            index.append(one + other if plus else (one - other).abs())
            sign *= -0.5 if plus and fixed else 0.5
        mass += sign * coefficients[tuple(index)]
    norms = torch.where(numbers == 0, 2 * half, half).double().prod(dim=1)
    stiffness = (math.pi / (2 * half) * numbers.double()).square().sum(1) * norms
    factor = torch.linalg.cholesky(mass)
    inverse = torch.linalg.solve_triangular(factor, torch.eye(len(mass), dtype=mass.dtype), upper=False)
    squares, vectors = torch.linalg.eigh((inverse * stiffness) @ inverse.mT)
    return inverse.mT @ vectors * (2 * half) ** (space / 2), squares.clamp(min=0).sqrt()


def _cosines(medium: Medium, space: int, count: int, half: float) -> Tensor:
    """(count,) * d, int cos(k_1 x_1) .. / c^2 over the box, by the rule of midpoints."""
    nodes = min(round(_NODES ** (1 / space)), _NODES_ALONG)
    middles = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
    x = (2 * middles - 1) * half
    found = speed(medium, torch.stack(torch.meshgrid(*[x] * space, indexing="ij"), -1)) ** -2
    cosines = (math.pi * middles[:, None] * torch.arange(count)).cos() * (2 * half / nodes)
    for _ in range(space):  # the first axis is summed over, and comes last
        found = torch.tensordot(found, cosines, dims=([0], [0]))
    return found


def speed(medium: Medium | None, x: Tensor) -> Tensor:
    """c (..) at places x (.., d) of a line or the plane."""
    if medium is None:
        return torch.ones_like(x[..., 0])
    places = x.flatten(0, -2)
    return medium(torch.cat([places, torch.zeros_like(places[:, :1])], dim=1)[:, :2]).unflatten(0, x.shape[:-1]) ** -0.5


def reach(medium: Medium | None, space: int, border: str, duration: float) -> float:
    """Half of the box in which waves stand: 1, or as far out that nothing is back in [-1, 1]^d before the end."""
    if border != "absorbing" or space == 0:
        return 1.0
    places = _places(space)
    fastest = speed(medium, places / places.abs().amax(dim=1, keepdim=True)).max().item()  # on the border
    return 1 + fastest * duration / 2


def _places(space: int) -> Tensor:
    """(4096, d) in [-1, 1]^d, always the same."""
    return 2 * torch.quasirandom.SobolEngine(space).draw(4097, dtype=torch.float64)[1:] - 1


def some_speeds(medium: Medium | None, space: int, half: float) -> Tensor:
    """(4096,) all over a box; (1,) where there is no space."""
    return speed(medium, _places(space) * half) if space else torch.ones(1, dtype=torch.float64)
