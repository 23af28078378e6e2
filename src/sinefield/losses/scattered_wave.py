"""The Helmholtz equation for what a medium adds to the waves of a known one; medium and waves are both sought.

    [d/dx (e_y/e_x dw/dx) + d/dy (e_x/e_y dw/dy)] / k^2 + e_x e_y (m w + (m - m_0) u_0) = 0
    e_t = 1 - i a (max(|t| - 1/2, 0) / (1/2))^2

which is the equation of u = u_0 + w less that of u_0, over k^2: the residual has the unit of the waves, and is not
affine, as m multiplies w. Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2, there for u itself.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight


class ScatteredWave(Equation):
    """Of signal=joint, anywhere in the box; all waves at once.

    Args:
        weight: as of `Term`.
        count: points per step.
    """

    order = 2
    operators = torch.eye(2)

    def __init__(self, weight: Weight = 1.0, count: int = 2048) -> None:
        super().__init__(weight)
        self.count = integer("count of a term", count, least=1)
        self.signal: Any = None

    def mean_square(self, signal: Any) -> Tensor:
        """1, ()."""
        require(hasattr(signal, "background"), "loss/term=scattered_wave is about waves and medium; take signal=joint")
        return super().mean_square(signal)

    def points(self, signal: Any, generator: torch.Generator, progress: float) -> Tensor:
        """(count, 2), uniform in the box."""
        return cast("Tensor", signal.uniform(self.count, generator))

    def known(self, signal: Any, x: Tensor) -> Jet:
        """u_0 in the unit of the waves and m_0, (N, 2 C + 1)."""
        self.signal = signal
        return Jet(signal.background(x))

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 2 C), real and imaginary parts."""
        assert field.gradient is not None
        assert field.second is not None
        signal = self.signal
        e, slope = _stretch(x, signal.propagator.absorption)
        w, first, second = (_waves(part) for part in (field.value, field.gradient, field.second))
        along = second / e[:, None] - first * (slope / e**2)[:, None]  # d/dt (1/e_t dw/dt), (N, C, 2)
        m = (known.value[:, -1:] + signal.contrast * field.value[:, -1:]).clamp(*signal.bounds)
        added = m * w + (m - known.value[:, -1:]) * _waves(known.value)
        other = e.flip(-1)[:, None]
        found = (along * other).sum(-1) / signal.wavenumbers.to(x) ** 2 + e.prod(-1, keepdim=True) * added
        return torch.cat([found.real, found.imag], dim=-1)


def _waves(part: Tensor) -> Tensor:
    """(N, C, ..) complex of channels (N, 2 C + 1, ..), the last of which is the medium's."""
    return torch.complex(part[:, 0:-1:2].contiguous(), part[:, 1:-1:2].contiguous())


def _stretch(x: Tensor, absorption: float) -> tuple[Tensor, Tensor]:
    """e and de/dt at x (N, 2), along each axis, complex."""
    depth = (x.abs() - 0.5).clamp(min=0) / 0.5
    return 1 - 1j * absorption * depth**2, -4j * absorption * depth * x.sign()
