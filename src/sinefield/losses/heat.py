"""The heat equation in one dimension of space: ``u_t = a u_xx``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.inside import Inside

if TYPE_CHECKING:
    from sinefield.signals import heat
    from sinefield.signals.base import Signal


class Heat(Inside):
    """``std^2 (u_t / a - u_xx)``, std of what it starts with, anywhere in the box of (x, t).

    Arguments as of `Inside`.
    """

    order = 2
    affine = True
    operators = torch.tensor([[1.0, 0.0]])  # u_xx alone

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(std^2 / a, std^2), per unit of the time coordinate, (N, 2)."""
        require(hasattr(signal, "diffusivity"), "loss=heat needs a signal with a diffusivity, such as signal=heat")
        rod = cast("heat.Heat", signal)
        return Jet(x.new_tensor([1 / (rod.diffusivity * rod.pace), 1.0]).expand(len(x), 2) * rod.std**2)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.gradient is not None
        assert field.second is not None
        later, bend = known.value.split(1, dim=-1)
        return later * field.gradient[..., -1] - bend * field.second.squeeze(-1)
