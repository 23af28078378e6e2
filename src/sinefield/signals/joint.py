"""Medium and waves together, as the paper inverts them: one field answers the waves of all sources, and the medium.

    f = (w_1, .., w_C, (m - m_0) / scale),     u = u_0 + unit w,     C = S sources times K wave numbers

Waves have two channels each. u_0 is the wave of the medium at the start, m_0, which a classical solver knows: the
source's peak is in it, so that the field need not learn it. That is where this differs from the paper. Coordinates are
those of the whole box with its layers.
Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2 and supplement 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.signals import spline
from sinefield.signals.inversion import Inversion
from sinefield.signals.measured import Measured
from sinefield.solvers.scattering import Scattering


class Joint(Measured):
    """`Inversion` with 2 C + 1 channels on the grid (n, n) of the box, of which the medium's nodes are the middle.

    Args:
        propagator: whose equation holds; None for `Scattering` at k = 10.
        medium, start, size, sources, receivers, radius, scale, bounds, noise: as of `Inversion`.

    Attributes:
        wavenumbers: (C,), of each wave.
        contrast: `scale`, the same everywhere.
        unit: of the waves' channels: twice the root mean square of what the start leaves of the data.
    """

    known: Tensor
    wavenumbers: Tensor

    def __init__(
        self,
        propagator: Scattering | None = None,
        medium: str | Path = "square",
        start: str | Path = "uniform",
        size: int = 51,
        sources: int = 5,
        receivers: int = 30,
        radius: float = 0.46,
        scale: float = 0.75,
        bounds: Sequence[float] = (0.05, 4.0),
        noise: float = 0.01,
    ) -> None:
        propagator = Scattering([10.0]) if propagator is None else propagator
        alone = Inversion(propagator, medium, start, size, sources, receivers, radius, scale, bounds, noise)
        self.layer = len(alone.truth) // 2
        with torch.no_grad():
            left = alone.data(alone.start) - alone.observed
            waves = [_channels(propagator.waves(m, alone.sources)) for m in (alone.start, alone.truth)]
        self.unit = 2 * (left.square().mean() * 2).sqrt().item()
        models = [m.double().numpy() for m in (alone.truth, alone.start)]
        around = [np.pad(m, self.layer, mode="edge")[..., None] for m in models]
        samples = [(waves[1] - waves[0]) / self.unit, (around[0] - around[1]) / scale]
        nodes = alone.sources, alone.receivers
        super().__init__(
            (models[0], models[1]), scale, bounds, propagator, nodes, noise, np.concatenate(samples, axis=-1)
        )
        self.files = alone.files
        known = spline.coefficients(np.concatenate([waves[0] / self.unit, around[1]], axis=-1), 3)
        self.register_buffer("known", torch.from_numpy(known).to(self.extent))
        self.contrast = float(scale)
        self.register_buffer("wavenumbers", torch.tensor(propagator.wavenumbers).repeat(len(nodes[0])).to(self.extent))
        self._observed = alone.observed

    def measure(self) -> Tensor:
        """(S, 2 K, R), as it was measured."""
        return self.observed

    def medium(self, values: Tensor) -> Tensor:
        """The medium (H, W) of the last of a field's channels (N, 2 C + 1) at the nodes of the box."""
        inside = slice(self.layer, -self.layer)
        return super().medium(values[:, -1].reshape(self.shape)[inside, inside])

    def positions(self, nodes: Tensor) -> Tensor:
        """(S, 2) coordinates in the box of sources or receivers at nodes (S, 2) of the medium."""
        return super().positions(nodes + self.layer)

    def background(self, x: Tensor) -> Tensor:
        """(N, 2 C + 1): u_0 / unit as channels, and m_0, at x (N, 2)."""
        return spline.evaluate(self.known, self.pixels(x), 3, 0, self.spacing).value

    def scattered(self) -> Tensor:
        """(R, 2 C): what the waves' channels should be at the receivers."""
        with torch.no_grad():
            left = (self.observed - self.data(self.start)) / self.unit
        return left.unflatten(1, (-1, 2)).permute(3, 0, 1, 2).flatten(1)


def _channels(waves: np.ndarray) -> np.ndarray:
    """(n, n, 2 S K) real of (S, K, n, n) complex."""
    parts = np.stack([waves.real, waves.imag], axis=2)
    return np.moveaxis(parts.reshape(-1, *waves.shape[2:]), 0, -1)
