"""What receivers record of the waves: the field's waves there less those measured.

Source: Sitzmann et al., arXiv 2006.09661, supplement 5.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.base import Equation


class Receivers(Equation):
    """Of signal=joint: ``w - (d_obs - d_start) / unit`` at all receivers."""

    affine = True

    def mean_square(self, signal: Any) -> Tensor:
        """1, ()."""
        require(hasattr(signal, "scattered"), "loss/term=receivers is about waves and medium; take signal=joint")
        return super().mean_square(signal)

    def points(self, signal: Any, generator: torch.Generator, progress: float) -> Tensor:
        """(R, 2)."""
        return cast("Tensor", signal.positions(signal.receivers))

    def known(self, signal: Any, x: Tensor) -> Jet:
        """(R, 2 C)."""
        if getattr(self, "_signal", None) is not signal:
            self._signal, self._scattered = signal, signal.scattered()
        return Jet(self._scattered.to(x))

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(R, 2 C)."""
        return field.value[..., :-1] - known.value
