"""Signals over three axes that are known at every point of a grid: films and volumes.

Where every second point along each axis is held out, the samples are the others, and the truth between them is read
where it is looked at: it is never in memory as a whole. The jet is that of the spline through the samples or, of a
closed form, its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import require
from sinefield.signals import spline
from sinefield.signals.base import Axis, Signal

MOST = (
    2**25
)  # numbers of which a spline is made: of more its coefficients, and three copies of them in double precision
_SCORED = 2**21  # samples over which a mean square is taken, at most
_DEGREE = 3


class Dense(Signal):
    """A function known at the points of a grid, rows first.

    Args:
        shape: samples per axis.
        channels: C.
        axes: of the coordinates, in their order.
        step: 2 where every second point along each axis is held out, else 1.
        formula: values (N, C) at x (N, D), where they are known anywhere.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: int,
        axes: Sequence[Axis],
        step: int,
        formula: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(shape, channels, axes)
        self.step, self.formula, self._c = step, formula, torch.empty(0)
        while np.prod([(n - 1) // self.every + 1 for n in shape]) > _SCORED:
            self.every += 2

    @abstractmethod
    def stored(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(n_1, .., n_D, C) values where these numbers of points, along each axis of all that is known, cross."""

    @abstractmethod
    def stored_at(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(N, C) values at the points with these numbers along each axis, (N,) each."""

    def known(self, numbers: Sequence[Tensor]) -> Tensor:
        """(n_1, .., n_D, C) values where these numbers of points cross, at the places `lattice` has for them."""
        if self.formula is None:
            return torch.from_numpy(self.stored([n.cpu().numpy() for n in numbers])).to(self.extent)
        x = self.lattice(numbers, self.step)
        return self.formula(x.flatten(0, -2)).unflatten(0, x.shape[:-1])

    def held_out_grid(self) -> Tensor | None:
        """The truth at `evaluation_grid(2)`; None where nothing is held out."""
        if self.step == 1:
            return None
        counts = [(n - 1) // self.every * 2 + 1 for n in self.shape]
        return self.known([self.every * torch.arange(n, device=self.extent.device) for n in counts])

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, D) and Laplacian (N, C) at coordinates x (N, D), as deep as `order` asks.

        Raises:
            UserError: more than a value at a sample is asked of a signal that is too large for a spline.
        """
        if self.formula is not None:
            found = Jet(self.formula(x)) if order == 0 else autograd_jet(self.formula, x, order)
            return found if x.requires_grad else found.map(torch.detach)
        u = self.pixels(x)
        nearest = u.round()
        # Coordinates at samples are so to their own rounding, and the spline's values there are the samples.
        rounding = 4 * max(self.shape) * torch.finfo(x.dtype).eps
        if order == 0 and not x.requires_grad and bool(((u - nearest).abs() <= rounding).all()):
            numbers = [self.step * part.cpu().numpy() for part in nearest.flip(-1).long().unbind(1)]
            return Jet(torch.from_numpy(self.stored_at(numbers)).to(x))
        return spline.evaluate(self.coefficients(x), u, _DEGREE, order, self.spacings)

    def interpolated(self, x: Tensor) -> Tensor:
        """(N, C), the values at x (N, D) of the spline through the samples."""
        return spline.evaluate(self.coefficients(x), self.pixels(x), _DEGREE, 0).value

    @property
    def has_spline(self) -> bool:
        """Whether the samples are few enough for one."""
        return len(self) * self.channels <= MOST

    def coefficients(self, like: Tensor) -> Tensor:
        """Those of the spline through the samples, made when they are first asked for."""
        many = f"the signal has {len(self) * self.channels:,} numbers, and a spline takes {MOST:,} at most"
        cure = "it has values at its samples alone: take loss=value without loss.terms.between, or less of the signal"
        require(self.has_spline, f"{many}; {cure}")
        if not len(self._c):
            samples = self.known([self.step * torch.arange(n, device=self.extent.device) for n in self.shape])
            self._c = torch.from_numpy(spline.coefficients(samples.double().cpu().numpy(), _DEGREE))
        if (self._c.dtype, self._c.device) != (like.dtype, like.device):
            self._c = self._c.to(like)
        return self._c
