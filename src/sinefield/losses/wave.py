"""The wave equation: ``u_tt = c(x)^2 lap u``.

Source: Sitzmann et al., arXiv 2006.09661, sec. 4.3; the growing time span: Wang et al., Respecting causality is all you
need for training physics-informed neural networks, arXiv 2203.07404, in its simplest form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals import wave
    from sinefield.signals.base import Signal


class Wave(Equation):
    """``std^2 / c^2 (u_tt - c^2 lap u)``, std the pulse's: of order 1 at the start, for every pulse and medium.

    Args:
        space: axes of space; the coordinate behind them is time.
        weight: multiplies the term.
        count: points per step, anywhere in the box.
        grows: the part of the run in which the points' time grows to all of it, as what comes later follows from what
            comes before; 0 for all of it from the start.
    """

    order = 2
    affine = True

    def __init__(self, space: int, weight: Weight = 1.0, count: int = 2048, grows: float = 0.7) -> None:
        super().__init__(weight)
        space = integer("space of a wave", space, least=1)
        self.count = integer("the count of a term", count, least=1)
        self.grows = 0.0 if grows == 0 else positive("grows of a wave", grows)
        self.operators = torch.zeros(2, space + 1)
        self.operators[0, :space], self.operators[1, space] = 1, 1

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D)."""
        require(hasattr(signal, "speed"), "a term of waves needs signal=wave, which has a speed")
        part = 1.0 if progress >= self.grows else max(0.02, progress / self.grows)
        return cast("wave.Wave", signal).until(self.count, part, generator)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """c^2 (N, 1), and beside it the unit of length std^2."""
        square = cast("wave.Wave", signal).speed(x).square()
        return Jet(torch.cat([square, torch.full_like(square, cast("wave.Wave", signal).std ** 2)], dim=1))

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.second is not None
        laplacian, later = field.second.unbind(-1)
        square, unit = known.value.split(1, dim=-1)
        return unit * (later / square - laplacian)
