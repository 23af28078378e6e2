"""A section of the ground from shots at its surface: seismic full-waveform inversion, v(x) = start(x) + scale f(x).

Sources and receivers lie along the second row of nodes. The data are simulated by the propagator that inverts them, as
in published tests. Source: Versteeg, The Marmousi experience, The Leading Edge 13(9), 1994.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.errors import integer, positive, require
from sinefield.signals.decoding.pixels import resize
from sinefield.signals.measured import Measured
from sinefield.signals.media import array
from sinefield.solvers.acoustic import Acoustic
from sinefield.solvers.propagator import Propagator

_DEPTH = 1  # row of sources and receivers
_SLOWEST, _FASTEST = 100.0, 12_000.0  # m/s, of anything that is a speed of waves in the ground


class Seismic(Measured):
    """Speeds in m/s, depth down the rows.

    Args:
        propagator: makes one, such as an `Acoustic`, of the `spacing` of the nodes in m.
        path: a NumPy file of speeds (H, W), in m/s or km/s; None for layers with a fault that are composed here.
        start: alike, of the same shape; None for speeds that rise with depth along the line that fits the true ones.
        size: nodes along the longest side, at most what the file has; None for all of them.
        metres: from node to node of the file.
        sources, receivers: how many, evenly along the surface; None for a receiver on every node.
        scale, bounds, noise: as of `Measured`, in m/s.
        growth: g, of the scale with depth, from 1 - g times at the surface to 1 + g at the bottom: the gradient fades
            with depth, and a network, unlike a grid under Adam, has no rate of its own for every node.

    Raises:
        UserError: a number is out of its range, or a file cannot be read or holds no speeds.
    """

    def __init__(
        self,
        propagator: Callable[..., Propagator] = Acoustic,
        path: str | Path | None = None,
        start: str | Path | None = None,
        size: int | None = 141,
        metres: float = 20.0,
        sources: int = 8,
        receivers: int | None = None,
        scale: float = 1000.0,
        growth: float = 0.0,
        bounds: Sequence[float] = (1000.0, 7000.0),
        noise: float = 0.0,
    ) -> None:
        truth = composed() if path is None else _speeds(path)
        first = _rising(truth) if start is None else _speeds(start)
        same = truth.shape == first.shape
        require(same, f"signal.start has the shape {first.shape}, and the true medium {truth.shape}; make them alike")
        own = max(truth.shape)
        size = own if size is None else min(integer("signal.size", size, least=5), own)
        height, width = (max(4, round((n - 1) * (size - 1) / (own - 1)) + 1) for n in truth.shape)
        models = [_resized(model, height, width) for model in (truth, first)]
        spacing = positive("signal.metres", metres) * (own - 1) / (size - 1)
        count = width if receivers is None else integer("signal.receivers", receivers, least=1)
        lines = [_line(integer("signal.sources", sources, least=1), width), _line(count, width)]
        rising = isinstance(growth, int | float) and 0 <= growth < 1
        require(rising, f"signal.growth must be at least 0 and below 1, not {growth!r}")
        deeper = 1 + growth * np.linspace(-1, 1, height)[:, None].repeat(width, axis=1)
        scales = positive("signal.scale", scale) * deeper
        super().__init__(
            (models[0], models[1]), scales, bounds, propagator(spacing=spacing), (lines[0], lines[1]), noise
        )
        self.files = tuple(str(file) for file in (path, start) if file is not None)

    def measure(self) -> Tensor:
        """(S, R, T)."""
        return self.data(self.truth)


def composed(height: int = 87, width: int = 281) -> np.ndarray:
    """(height, width) speeds from 1500 m/s: dipping layers, thrown at a fault, faster with depth; a lens of salt."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 3.2, width), indexing="ij")
    thrown = y + 0.08 * np.sin(1.8 * x) + 0.1 * (x - 0.35 * y > 1.7)
    levels = np.random.default_rng(0).normal(size=16).round(3)
    speed = 1500 + 2300 * thrown.clip(0, 1.2) + 350 * levels[(thrown * 11).astype(int).clip(0, 15)]
    lens = ((x - 2.5) / 0.45) ** 2 + ((y - 0.55) / 0.13) ** 2 < 1
    speed = np.where(lens, 4500.0, speed)
    return np.where(y < 0.06, 1500.0, speed.clip(1500, 5000))


def _speeds(path: str | Path) -> np.ndarray:
    """(H, W) in m/s."""
    speeds = array(path)
    speeds = speeds * 1000 if np.nanmax(speeds) < _FASTEST / 1000 else speeds
    within = bool((speeds >= _SLOWEST).all() and (speeds <= _FASTEST).all())
    require(within, f"{str(path)!r} must hold speeds in m/s or km/s, {_SLOWEST:.0f} to {_FASTEST:.0f} m/s everywhere")
    return speeds


def _rising(truth: np.ndarray) -> np.ndarray:
    """The line through the rows' means, by least squares."""
    depth = np.arange(len(truth))
    line = np.polyval(np.polyfit(depth, truth.mean(axis=1), 1), depth).clip(truth.min(), truth.max())
    return np.repeat(line[:, None], truth.shape[1], axis=1)


def _resized(model: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width): filtered against aliasing, within the range of what it was made of."""
    return resize(model[..., None], height, width)[..., 0].clip(model.min(), model.max())


def _line(count: int, width: int) -> Tensor:
    """(count, 2), evenly along a row, (row, column)."""
    inner = torch.linspace(0, width - 1, count + 2, dtype=torch.float64)[1:-1]
    columns = inner if count < width else torch.arange(width, dtype=torch.float64)
    return torch.stack([torch.full((len(columns),), min(_DEPTH, width - 1)), columns.round().long()], dim=-1)
