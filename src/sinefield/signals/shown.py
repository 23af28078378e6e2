"""A picture of which square patches are shown: turned or mirrored, its channels mixed to grey, its contrast changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from sinefield.signals import spline

VIEWS = 2**24  # seeds that a float32 can tell apart
_GREY = [0.299, 0.587, 0.114]  # ITU-R BT.601
_LEAST = 0.05  # share of a channel, before all are divided by their sum


class View(NamedTuple):
    """How a patch is shown: its first pixel, which of eight turns and mirror images, and weights of the channels."""

    top: int
    left: int
    turn: int
    mix: Tensor


class Shown(nn.Module):
    """A picture widened by its mirror image: its pixels as the sampling sees them, and the spline through all of them.

    Args:
        values: (H, W, C) in [-1, 1].
        side: of a patch, in pixels.
        margin: by which the picture is widened.
        low_pass: standard deviation of the blur in front of the sampling, in pixels.
    """

    seen: Tensor
    c: Tensor

    def __init__(self, values: np.ndarray, side: int, margin: int, low_pass: float) -> None:
        super().__init__()
        self.shape, self.channels, self.side = values.shape[:2], values.shape[2], side
        wide = np.pad(values, [(margin, margin), (margin, margin), (0, 0)], mode="reflect")
        blurred = ndimage.gaussian_filter(wide, (low_pass, low_pass, 0)) if low_pass else wide
        dtype = torch.get_default_dtype()
        self.register_buffer("seen", torch.from_numpy(blurred).to(dtype))
        self.register_buffer("c", torch.from_numpy(spline.coefficients(wide, 3)).to(dtype))

    @property
    def tiles(self) -> tuple[int, int]:
        """How many patches cover it down and across, but for what is less than one; neighbours share their border."""
        return (self.shape[0] - 1) // (self.side - 1), (self.shape[1] - 1) // (self.side - 1)

    def tile(self, number: int) -> View:
        """One of the tiles, as it is, in grey."""
        row, column = divmod(number, self.tiles[1])
        mix = torch.tensor(_GREY if self.channels == 3 else [1.0])
        return View(row * (self.side - 1), column * (self.side - 1), 0, mix)

    def random(self, generator: torch.Generator) -> View:
        """Any patch, turn, mix of the channels and contrast, from half to all of it, of either sign."""
        r = torch.rand(8, generator=generator, dtype=torch.float32).tolist()
        mix = torch.tensor(r[: self.channels]) + _LEAST
        top, left = (int(part * (n - self.side + 1)) for part, n in zip(r[3:5], self.shape, strict=True))
        gain = (1 if r[5] < 0.5 else -1) * 0.5 ** r[6]
        return View(top, left, int(r[7] * 8), gain * mix / mix.sum())

    def window(self, array: Tensor, view: View, start: int, side: int) -> Tensor:
        """(side, side, 1) of `seen` or `c`, as the view has it, from `start` behind its first pixel."""
        rows, columns = (slice(first + start, first + start + side) for first in (view.top, view.left))
        window = array[rows, columns] @ view.mix.to(array).unsqueeze(1)
        window = window.transpose(0, 1) if view.turn & 1 else window
        return window.flip([axis for axis in (0, 1) if view.turn >> (axis + 1) & 1])


def seeded(number: int, view: int) -> torch.Generator:
    """Random numbers that belong to a view of a picture."""
    return torch.Generator().manual_seed(number * VIEWS + view)
