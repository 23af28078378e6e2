"""Standing waves in a box: features that satisfy the wave equation, so that a head alone meets the initial values.

    psi_i(x) cos(w_i t)    and, where something moves at the start,    psi_i(x) sin(w_i t) / w_i

With products of cosines along the axes (free borders) or of sines (fixed ones) for psi_i, k_i their wavenumbers,
w_i = c |k_i| is exact for constant c. For a speed c(x) they are Galerkin's, sums of these products (modes.py).
An absorbing border is a free one so far outside that nothing comes back before the end. A disc of wavenumbers up to R
in a plane box of area A has A R^2 / (4 pi) of these waves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinefield.core import autocast
from sinefield.core.jet import Jet, concatenate, linear
from sinefield.core.product import multiply
from sinefield.encodings.base import Encoding
from sinefield.encodings.modes import Medium, galerkin, reach, some_speeds
from sinefield.errors import integer, positive, require
from sinefield.kernels.dispatch import eager
from sinefield.kernels.layer import layer

_MOST = 16_384  # waves: their normal equations fill 2 GB
_MOST_COUPLED = 6_000  # waves in a medium that varies: the eigenvalue problem takes minutes


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

    wavenumbers: Tensor
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
        speeds = some_speeds(medium, self.space, self.reach)
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
            modes, omega = galerkin(medium, numbers, self.reach, self.fixed)
        real = torch.get_default_dtype()
        rows = torch.arange(int(numbers.max()) + 1 if numbers.numel() else 1, dtype=torch.float64)
        self.register_buffer("wavenumbers", (math.pi / (2 * self.reach) * rows).to(real))  # wavenumbers along any axis
        self.register_buffer("index", numbers)
        self.register_buffer("frequencies", (omega * self.pace).to(real))  # per unit of coordinate
        self.register_buffer("modes", None if modes is None else modes.to(real))
        self.features = len(omega) * (2 if self.moving else 1)

    def forward(self, jet: Jet) -> Jet:
        """The jet of the F waves, from the jet of the D coordinates; for K fields at once the buffers have K in front.

        In the precision of x, whatever autocast wants, as of other waves.
        """
        with autocast.off(self.wavenumbers.device.type):
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
            along = self._sines(jet, axis, self.wavenumbers, self.reach, 0.0 if self.fixed else math.pi / 2)
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


def _selected(jet: Jet, index: Tensor) -> Jet:
    """The jet of channels `index` (J,) of another."""
    derivatives = (part.movedim(-1, -3)[..., index].movedim(-3, -1) for part in jet.parts[1:])
    return jet.of([jet.value[..., index], *derivatives])
