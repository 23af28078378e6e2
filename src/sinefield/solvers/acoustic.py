"""Acoustic waves in time, by deepwave: the propagator of seismic full-waveform inversion.

    1/v^2 d2p/dt2 = lap p + s(t) delta(x - x_s),      s a Ricker wavelet

Absorbing layers are around all sides of the model. The source is of unit strength, so that data do not depend on the
spacing. Source: Richardson, deepwave, doi:10.5281/zenodo.3829886.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sinefield.errors import UserError, positive, require
from sinefield.solvers.propagator import Propagator


class Acoustic(Propagator):
    """Pressure (S, R, T) at the receivers; the medium is the speed v (H, W) in m/s.

    Args:
        spacing: of the model's nodes, m.
        frequency: at which the Ricker wavelet peaks, Hz.
        seconds: that are recorded.
        interval: from sample to sample, s; the propagator takes shorter steps by itself where it must.
        accuracy: order of the differences in space: 2, 4, 6 or 8.

    Raises:
        UserError: deepwave is not installed, or an argument is no positive number.
    """

    def __init__(
        self, spacing: float, frequency: float = 2.0, seconds: float = 4.0, interval: float = 0.016, accuracy: int = 4
    ) -> None:
        self.spacing = positive("signal.propagator.spacing", spacing)
        self.frequency = positive("signal.propagator.frequency", frequency)
        self.interval = positive("signal.propagator.interval", interval)
        self.count = round(positive("signal.propagator.seconds", seconds) / self.interval)
        orders: dict[int, Literal[2, 4, 6, 8]] = {2: 2, 4: 4, 6: 6, 8: 8}
        require(accuracy in orders, f"signal.propagator.accuracy must be 2, 4, 6 or 8, not {accuracy!r}")
        self.accuracy = orders[accuracy]

    def __call__(self, medium: Tensor, sources: Tensor, receivers: Tensor) -> Tensor:
        """(S, R, T)."""
        try:
            import deepwave  # noqa: PLC0415 - optional
        except ImportError as error:
            raise UserError("acoustic waves need deepwave; pip install 'sinefield[inversion]'") from error
        time = torch.arange(self.count, device=medium.device, dtype=medium.dtype) * self.interval
        phase = (torch.pi * self.frequency * (time - 1.5 / self.frequency)).square()
        # What deepwave adds has the other sign, and is the integral over a cell.
        wavelet = (2 * phase - 1) * (-phase).exp() / self.spacing**2
        found = deepwave.scalar(
            medium,
            self.spacing,
            self.interval,
            source_amplitudes=wavelet.expand(len(sources), 1, -1).contiguous(),
            source_locations=sources[:, None].to(medium.device),
            receiver_locations=receivers.to(medium.device).expand(len(sources), -1, -1).contiguous(),
            accuracy=self.accuracy,
            pml_freq=self.frequency,
        )
        return found[-1]
