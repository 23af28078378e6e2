"""First arrivals: ``|grad tau| = 1 / c`` with ``tau = d f``, d the distance from the source, f the field.

Source: Smith et al., EikoNet: Solving the Eikonal equation with deep neural networks, arXiv 2004.00361.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.inside import Inside

if TYPE_CHECKING:
    from sinefield.signals import eikonal
    from sinefield.signals.base import Signal


class Arrivals(Inside):
    """``c |f grad d + d grad f| - 1`` anywhere in the box.

    Arguments as of `Inside`.
    """

    order = 1

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(d, c), (N, 2), and the gradient of d, (N, 1, D)."""
        require(hasattr(signal, "distance"), "loss=arrivals needs a signal with a source, such as signal=eikonal")
        problem = cast("eikonal.Eikonal", signal)
        distance = problem.distance(x)
        return Jet(torch.cat([distance.value, problem.speed(x)], dim=1), distance.gradient)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.gradient is not None
        assert known.gradient is not None
        distance, speed = known.value.split(1, dim=-1)
        slope = field.value.unsqueeze(-1) * known.gradient + distance.unsqueeze(-1) * field.gradient
        return speed * slope.norm(dim=-1) - 1
