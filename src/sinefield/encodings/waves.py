"""Standing waves in a box: features that satisfy the wave equation, so that a head alone meets the initial values.

    psi_i(x) cos(w_i t)    and, where something moves at the start,    psi_i(x) sin(w_i t) / w_i

With products of cosines along the axes (free borders) or of sines (fixed ones) for phi_j, k_j their wavenumbers,
psi_j = phi_j and w_j = c |k_j| are exact for constant c. For a speed c(x) they are Galerkin's: psi_i = sum_j V_ji phi_j
satisfies ``-c^2 lap psi = w^2 psi`` weakly, on all phi_j,

    K V = M V diag(w^2)      K_jl = int grad phi_j . grad phi_l      M_jl = int phi_j phi_l / c^2 .

An absorbing border is a free one so far outside that nothing comes back before the end. A disc of wavenumbers up to R
in a plane box of area A has A R^2 / (4 pi) of these waves.

Source: Strang & Fix, An Analysis of the Finite Element Method (1973), ch. 6 (eigenvalue problems).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sinefield.core import autocast
from sinefield.core.jet import Jet, concatenate, linear, multiply
from sinefield.encodings.base import Encoding
from sinefield.errors import integer, positive, require
from sinefield.kernels.dispatch import eager
from sinefield.kernels.layer import layer

_MOST = 16_384  # waves: their normal equations fill 2 GB
_MOST_COUPLED = 6_000  # waves in a medium that varies: the eigenvalue problem takes minutes
_NODES_ALONG = 2**14
_NODES = 2**22  # of the quadrature of 1 / c^2, in all: jumps of c are placed to a part in 2,000 of the box


Medium = Callable[[Tensor], Tensor]  # 1 / c^2 (N,) at places (N, 2), such as those of sinefield.signals.media


class StandingWaves(Encoding):
    """(x, t) to the waves' values; time is the last coordinate, and starts at -extent.

    Args:
        in_features: D, space and time.
        std: standard deviation of the sharpest Gaussian that they are to represent, in units of coordinate.
        tolerance: how much of it, in relative L2, wavenumbers beyond the highest may hold: R = (2 ln(1/tol))^0.5 / std.
        duration: of the time, in seconds, in which speed 1 goes a unit of coordinate.
        extent: half of the time axis in units of coordinate; None for half of `duration`.
        border: fixed, free or absorbing, at -1 and 1 along each axis of space.
        medium: 1 / c^2 (N,) at places (N, 2) of the plane; None for c = 1. In one dimension y is 0.
        velocity: the waves with a sine in time too, unless None.

    Raises:
        UserError: a knob that is none, or that makes too many waves.

    >>> StandingWaves(in_features=3, std=0.2, tolerance=0.05).features
    119
    """

    matrix: Tensor
    index: Tensor
    modes: Tensor | None
    frequencies: Tensor

    def __init__(
        self,
        in_features: int,
        std: float = 0.1,
        tolerance: float = 0.01,
        duration: float = 1.0,
        extent: float | None = None,
        border: str = "absorbing",
        medium: Medium | None = None,
        velocity: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.space = integer("encoding.in_features", in_features, least=1) - 1
        kinds = ("fixed", "free", "absorbing")
        require(border in kinds, f"encoding.border must be one of {', '.join(kinds)}, not {border!r}")
        tolerance = positive("encoding.tolerance", tolerance)
        require(tolerance < 1, f"encoding.tolerance must be below 1, not {tolerance:g}")
        highest = (2 * math.log(1 / tolerance)) ** 0.5 / positive("encoding.std", std)
        duration = positive("encoding.duration", duration)
        self.extent = duration / 2 if extent is None else positive("encoding.extent", extent)
        self.pace = duration / (2 * self.extent)  # seconds per unit of coordinate
        self.reach = reach(medium, self.space, border, duration)
        self.fixed, self.moving = border == "fixed", velocity is not None

        numbers = self._numbers(highest)  # (J, D - 1), half waves along each axis
        wavenumbers = math.pi / (2 * self.reach) * numbers.double()
        speeds = _some_speeds(medium, self.space, self.reach)
        uniform = bool((speeds == speeds[0]).all())
        most = _MOST if uniform else _MOST_COUPLED
        area = (2 * self.reach) ** self.space
        cure = "take a larger encoding.tolerance or signal.std, or a shorter signal.duration"
        many = (
            f"encoding: {len(numbers):,} waves up to wavenumber {highest:.3g} in a box of size {area:.3g} are too many"
        )
        require(len(numbers) <= most, f"{many}, {most:,} at most; {cure}")
        require(len(numbers) > 0, f"encoding: no wave is longer than encoding.std={std:g} allows; take a smaller one")
        modes, omega = None, wavenumbers.norm(dim=1)
        if uniform:
            omega = omega * speeds[0]
        else:
            assert medium is not None
            modes, omega = self._galerkin(medium, numbers, wavenumbers)
        real = torch.get_default_dtype()
        rows = torch.arange(int(numbers.max()) + 1 if numbers.numel() else 1, dtype=torch.float64)
        self.register_buffer("matrix", (math.pi / (2 * self.reach) * rows).to(real))  # wavenumbers along any axis
        self.register_buffer("index", numbers)
        self.register_buffer("frequencies", (omega * self.pace).to(real))  # per unit of coordinate
        self.register_buffer("modes", None if modes is None else modes.to(real))
        self.features = len(omega) * (2 if self.moving else 1)

    def forward(self, jet: Jet) -> Jet:
        """The jet of the F waves, from the jet of the D coordinates; for K fields at once the buffers have K in front.

        In the precision of x, whatever autocast wants, as of other waves.
        """
        with autocast.off(self.matrix.device.type):
            space = self._standing_once(jet)
            return concatenate([multiply(space, time) for time in self._in_time(jet)])

    def _standing_once(self, jet: Jet) -> Jet:
        """psi, computed once for points at several times, as a sum of all waves for each of them is dear."""
        if self.modes is None or not eager(*jet.parts) or jet.value.dim() > 2 or jet.value.requires_grad:
            return self._standing(jet)
        known = torch.cat([part[:, : self.space].flatten(1) for part in jet.parts], dim=1)
        places, which = torch.unique(known, dim=0, return_inverse=True)
        if 2 * len(places) > len(known):
            return self._standing(jet)
        first = which.new_empty(len(places)).scatter_(0, which, torch.arange(len(which), device=which.device))
        found = self._standing(jet.map(lambda part: part[first]))
        derivatives = (part.movedim(-1, -3)[:, which].movedim(-3, -1) for part in found.parts[1:])
        return found.of([found.value[which], *derivatives])

    def _standing(self, jet: Jet) -> Jet:
        """psi at x, (N, J)."""
        found = None
        index = self.index[(0,) * (self.index.dim() - 2)]  # the fields of a stack have the same
        for axis in range(self.space):
            along = self._sines(jet, axis, self.matrix, self.reach, 0.0 if self.fixed else math.pi / 2)
            along = _selected(along, index[:, axis])
            found = along if found is None else multiply(found, along)
        if found is None:  # no space: the one wave that does not change
            found = jet.map(lambda part: torch.zeros_like(part[..., :1] if part is jet.value else part[..., :1, :]))
            found = found._replace(value=found.value + 1)
        return found if self.modes is None else linear(found, self.modes.mT)

    def _in_time(self, jet: Jet) -> list[Jet]:
        """cos(w t), (N, J), and, where something moves, sin(w t) / w, by its first two terms where w is 0."""
        found = [self._sines(jet, self.space, self.frequencies, self.extent, math.pi / 2)]
        if self.moving:
            slow = self.frequencies < 1e-6
            omega = torch.where(slow, 1e-6, self.frequencies)
            sine = self._sines(jet, self.space, omega, self.extent, 0.0)
            scale = (1 / omega).unsqueeze(-2)
            found.append(sine.of([sine.value * scale, *(part * scale.unsqueeze(-1) for part in sine.parts[1:])]))
        return found

    def _sines(self, jet: Jet, axis: int, frequencies: Tensor, offset: float, ahead: float) -> Jet:
        """``sin(w (x_axis + offset) + ahead)`` for frequencies w (F,)."""
        unit = torch.zeros(jet.value.shape[-1], dtype=frequencies.dtype, device=frequencies.device)
        unit[axis] = 1
        return layer(jet, frequencies.unsqueeze(-1) * unit, frequencies * offset + ahead, 1.0)

    def _numbers(self, highest: float) -> Tensor:
        """(J, D - 1), half waves along each axis of all waves up to a wavenumber; from 1 on where they are sines."""
        first, last = int(self.fixed), math.floor(highest * 2 * self.reach / math.pi)
        cure = "take a larger encoding.tolerance or signal.std"
        require((last + 1) ** self.space <= 2**24, f"encoding: {last:,} waves along an axis are too many; {cure}")
        axes = [torch.arange(first, last + 1)] * self.space
        found = (
            torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2) if axes else torch.zeros(1, 0).long()
        )
        return found[found.double().norm(dim=1) <= highest * 2 * self.reach / math.pi]

    def _galerkin(self, medium: Medium, numbers: Tensor, wavenumbers: Tensor) -> tuple[Tensor, Tensor]:
        """V (J, J), of mean square about 1 over the box, and w (J,) in radians per second, by growing w."""
        coefficients = self._cosines(medium, 2 * int(numbers.max()) + 1)
        n, mass = numbers, torch.zeros(len(numbers), len(numbers), dtype=torch.float64)
        for signs in range(2**self.space):  # 2 cos a cos b = cos(a - b) + cos(a + b), 2 sin a sin b = .. - ..
            index, sign = [], 1.0
            for d in range(self.space):
                plus = bool(signs >> d & 1)
                index.append((n[:, None, d] + n[None, :, d]) if plus else (n[:, None, d] - n[None, :, d]).abs())
                sign *= -0.5 if plus and self.fixed else 0.5
            mass += sign * coefficients[tuple(index)]
        norms = torch.where(numbers == 0, 2 * self.reach, self.reach).double().prod(dim=1)
        stiffness = wavenumbers.square().sum(1) * norms
        factor = torch.linalg.cholesky(mass)
        inverse = torch.linalg.solve_triangular(factor, torch.eye(len(mass), dtype=mass.dtype), upper=False)
        squares, vectors = torch.linalg.eigh((inverse * stiffness) @ inverse.mT)
        return inverse.mT @ vectors * (2 * self.reach) ** (self.space / 2), squares.clamp(min=0).sqrt()

    def _cosines(self, medium: Medium, count: int) -> Tensor:
        """(count,) * (D - 1), int cos(k_1 x_1) .. / c^2 over the box, by the rule of midpoints."""
        nodes = min(round(_NODES ** (1 / self.space)), _NODES_ALONG)
        middles = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
        x = (2 * middles - 1) * self.reach
        found = speed(medium, torch.stack(torch.meshgrid(*[x] * self.space, indexing="ij"), -1)) ** -2
        cosines = (math.pi * middles[:, None] * torch.arange(count)).cos() * (2 * self.reach / nodes)
        for _ in range(self.space):  # the first axis is summed over, and comes last
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


def _some_speeds(medium: Medium | None, space: int, half: float) -> Tensor:
    """(4096,) all over a box; (1,) where there is no space."""
    return speed(medium, _places(space) * half) if space else torch.ones(1, dtype=torch.float64)


def _selected(jet: Jet, index: Tensor) -> Jet:
    """The jet of channels `index` (J,) of another."""
    derivatives = (part.movedim(-1, -3)[..., index].movedim(-3, -1) for part in jet.parts[1:])
    return jet.of([jet.value[..., index], *derivatives])
