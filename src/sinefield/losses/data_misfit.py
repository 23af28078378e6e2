"""The data of a medium against those that were measured: the loss of full-waveform inversion.

    r = (data(m) - d_obs) / |data(m_start) - d_obs|,      m = start + scale f

so that the loss is 1 at the start. For data of several frequencies (curves) each is relative to its own error at the
start. Source: Tarantola, Inversion of seismic reflection data in the acoustic approximation, Geophysics 49(8), 1984.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals.base import Signal


class DataMisfit(Equation):
    """All of a step's points are one group: the nodes of the medium, and behind them the sources that take part.

    Args:
        weight: as of `Term`.
        sources: how many take part in a step, drawn anew for each; None for all.

    Raises:
        UserError: the signal has no measurements, or fewer sources.
    """

    group = None

    def __init__(self, weight: Weight = 1.0, sources: int | None = None) -> None:
        super().__init__(weight)
        self.sources = sources if sources is None else integer("sources of a term", sources, least=1)
        self.signal: Any = None

    def mean_square(self, signal: Signal) -> Tensor:
        """1, (): the residual is relative by itself."""
        require(hasattr(signal, "observed"), "loss/term=data_misfit compares measurements; take signal=inversion")
        count = len(cast("Any", signal).sources)
        few = self.sources is None or self.sources <= count
        require(few, f"a term wants {self.sources} sources a step, and the signal has {count}; take fewer")
        return super().mean_square(signal)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(H W + S', 2): every node, then the positions of the sources of this step."""
        measured = cast("Any", signal)
        order = torch.randperm(len(measured.sources), generator=generator, device=generator.device)
        which = order[: self.sources].sort().values.to(measured.sources.device)
        return torch.cat([signal.grid(), measured.positions(measured.sources[which])])

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """Nothing at the points: what is known is the signal's data."""
        self.signal = signal
        return super().known(signal, x)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(1, R) with R all data of the sources behind the nodes in x."""
        signal, nodes = self.signal, len(self.signal)
        which = torch.cdist(x[nodes:], signal.positions(signal.sources).to(x)).argmin(dim=1).to(signal.sources.device)
        data = signal.data(signal.medium(field.value[:nodes]), which)
        error = (data - signal.observed[which].to(data)) / signal.error_at_start.to(data)
        return error.reshape(1, -1) * (len(signal.sources) / len(which)) ** 0.5
