"""A medium that is known by what receivers record of waves in it, and the medium at the start.

    medium(x) = start(x) + scale f(x),      d_obs = data(true medium) + noise

The signal is the f of the true medium, ``s = (true - start) / scale``: scores compare with it, and no loss sees it.
Coordinates span the model's own grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import positive, require
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.solvers.propagator import Propagator

_DEGREE = 3  # of the spline through the true medium's nodes


class Measured(Signal):
    """An inverse problem on a grid (H, W), one channel; what has been measured is simulated when it is first needed.

    Args:
        models: (H, W) each, the true medium and that at the start, in the propagator's unit.
        scale: of the field's values, in that unit: a number, or one for every node, (H, W).
        bounds: the least and the largest value of a medium; beyond them it is cut off.
        propagator: makes data of a medium.
        nodes: (S, 2) of the sources and (R, 2) of the receivers, their numbers (row, column).
        noise: standard deviation of the noise of the data over their root mean square.
        samples: (H', W', C), the signal on a grid of its own; None for s on the model's.

    Raises:
        UserError: a number is out of its range.
    """

    c: Tensor
    truth: Tensor
    start: Tensor
    scale: Tensor

    def __init__(
        self,
        models: tuple[np.ndarray, np.ndarray],
        scale: float | np.ndarray,
        bounds: Sequence[float],
        propagator: Propagator,
        nodes: tuple[Tensor, Tensor],
        noise: float = 0.0,
        samples: np.ndarray | None = None,
    ) -> None:
        truth, start = models
        scale = scale if isinstance(scale, np.ndarray) else np.full(truth.shape, positive("signal.scale", scale))
        samples = ((truth - start) / scale)[..., None] if samples is None else samples
        super().__init__(samples.shape[:-1], samples.shape[-1])
        pair = isinstance(bounds, Sequence) and len(bounds) == 2 and 0 < bounds[0] < bounds[1]
        require(pair, f"signal.bounds must be two numbers above 0, the lower first, not {bounds!r}")
        self.bounds = (float(bounds[0]), float(bounds[1]))
        kind = "with a _target_, such as those in conf/signal/propagator"
        require(isinstance(propagator, Propagator), f"signal.propagator must be one {kind}, not {propagator!r}")
        self.propagator = propagator
        self.sources, self.receivers = nodes
        self.noise = positive("signal.noise", noise) if noise != 0 else 0.0
        values = spline.coefficients(samples, _DEGREE)
        for name, array in (("c", values), ("truth", truth), ("start", start), ("scale", scale)):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).to(self.extent))
        self._observed: Tensor | None = None
        self._error_at_start: Tensor | None = None

    @abstractmethod
    def measure(self) -> Tensor:
        """The data (S, A, B) of the true medium, without noise."""

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, 2) and Laplacian (N, C) of s at x (N, 2), of a spline through its nodes."""
        return spline.evaluate(self.c, self.pixels(x), _DEGREE, order, self.spacing)

    def medium(self, values: Tensor) -> Tensor:
        """The medium (H, W) of a field's values (N, 1) at the nodes `grid()`, within the bounds."""
        return (self.start + self.scale * values.reshape(self.start.shape).to(self.start)).clamp(*self.bounds)

    def data(self, medium: Tensor, which: Tensor | None = None) -> Tensor:
        """The data (S', A, B) of a medium (H, W), of all sources or of those with the numbers `which` (S',)."""
        return self.propagator(medium, self.sources if which is None else self.sources[which], self.receivers)

    @property
    def observed(self) -> Tensor:
        """The data that were measured, (S, A, B), with their noise."""
        if self._observed is None:
            with torch.no_grad():
                data = self.measure()
            white = torch.randn(data.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            self._observed = data + self.noise * data.square().mean().sqrt() * white.to(data)
        return self._observed.to(self.start)

    @property
    def error_at_start(self) -> Tensor:
        """What errors of data are relative to, () or (A, 1) where curves count alike: the loss is 1 at the start."""
        if self._error_at_start is None:
            with torch.no_grad():
                error = self.data(self.start) - self.observed
            apart = self.propagator.apart
            squares = error.square().sum((0, 2))[:, None] * len(error[0]) if apart else error.square().sum()
            require(bool((squares > 0).all()), "the medium at the start explains all data; choose another signal.start")
            self._error_at_start = squares.sqrt()
        return self._error_at_start

    def positions(self, nodes: Tensor) -> Tensor:
        """(S, 2) coordinates of sources or receivers at nodes (S, 2)."""
        return self.coordinates(nodes.flip(-1).to(self.extent))
