"""A part of a pixel grid as an open set of the plane: where it is, and where its border and its outside are.

Positions are (column, row) in pixels. The region consists of the squares between four pixel centres that have one of
the given pixels as a corner, so its border runs through the centres of the nearest other pixels: where a boundary-value
problem on the grid and the one on the plane both take their values.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from sinefield.errors import require
from sinefield.signals import spline

ROUNDING = 1e-3  # pixels: float32 puts a point that near to where it is, on grids of up to some 4000 pixels


def rectangle(shape: tuple[int, ...], first: Sequence[float], last: Sequence[float]) -> np.ndarray:
    """(H, W) booleans: the pixels whose squares all lie in the rectangle with these corners (column, row)."""
    inside = []
    for n, low, high in zip(reversed(shape), first, last, strict=True):
        i = np.arange(n)
        inside.append((np.maximum(i - 1, 0) > low - ROUNDING) & (np.minimum(i + 1, n - 1) < high + ROUNDING))
    return inside[1][:, None] & inside[0]


class Region(nn.Module):
    """The open set around the pixels (H, W) that are True, one at least; `whole` says that none is left out.

    Raises:
        UserError: pixels are left out, but no two neighbours, so that the region has no border to speak of.

    >>> region = Region(np.eye(5, dtype=bool) & (np.arange(5) == 2))  # the pixel in the middle
    >>> region.contains(torch.tensor([[2.0, 2.0], [2.9, 1.1], [3.0, 2.0], [1.0, 1.0]]))
    tensor([ True,  True, False, False])
    """

    pixels: Tensor
    clear: Tensor
    rim: Tensor
    inside: Tensor
    outside: Tensor

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__()
        self.whole = bool(pixels.all())
        squares = pixels[:-1, :-1] | pixels[:-1, 1:] | pixels[1:, :-1] | pixels[1:, 1:]
        around = np.pad(squares, 1)
        right = ~pixels[:, :-1] & ~pixels[:, 1:] & (around[:-1, 1:-1] | around[1:, 1:-1])
        down = ~pixels[:-1] & ~pixels[1:] & (around[1:-1, :-1] | around[1:-1, 1:])
        starts = [np.argwhere(edges)[:, ::-1] for edges in (right, down)]
        ways = [np.broadcast_to(way, start.shape) for way, start in zip(((1, 0), (0, 1)), starts, strict=True)]
        rim = np.stack([np.concatenate(starts), np.concatenate(ways)], axis=1)
        require(self.whole or len(rim) > 0, "a mask must leave out at least two neighbouring pixels, or none")
        # Of each pixel: at least how far any point that is nearest to it is from the border, which runs through the
        # nearest pixels outside and is up to sqrt(2) from the nearest inside; points are up to 0.71 from their pixel.
        within, beyond = (distance_transform_edt(part) if part.any() else 0 for part in (pixels, ~pixels))
        clear = np.where(pixels, within - 0.85, beyond - 2.2) if len(rim) else np.full(pixels.shape, np.inf)
        for name, table in (
            ("pixels", pixels[..., None]),
            ("clear", clear.clip(min=0)),
            ("rim", rim),  # pixel edges on the border, (K, 2, 2) start and direction
            ("inside", np.argwhere(squares)[:, ::-1]),  # squares, (L, 2) their upper left corners
            ("outside", np.argwhere(~squares)[:, ::-1]),
        ):
            self.register_buffer(name, torch.from_numpy(table.astype(np.float64)).to(torch.get_default_dtype()))

    def contains(self, position: Tensor) -> Tensor:
        """(N,) booleans for positions (N, 2): where the bilinear interpolant of the pixels is positive."""
        return spline.evaluate(self.pixels, position, 1, 0).value[:, 0] > ROUNDING

    def clearance(self, position: Tensor) -> Tensor:
        """(N, 1): a radius around positions (N, 2) that does not reach the border, at most some 2 pixels too short."""
        column, row = position.round().long().unbind(1)
        height, width = self.clear.shape
        return self.clear[row.clamp(0, height - 1), column.clamp(0, width - 1)][:, None]

    def around(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 2) random positions: half on the border, half anywhere outside, where there is anything outside."""
        unit = self._unit(count, generator)
        away = count // 2 if len(self.outside) else 0
        start, way = _drawn(self.rim, count - away, generator).unbind(1)
        return torch.cat([start + unit[away:, :1] * way, _drawn(self.outside, away, generator) + unit[:away]])

    def uniform(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 2) positions drawn uniformly from the region."""
        return _drawn(self.inside, count, generator) + self._unit(count, generator)

    def _unit(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.rand(count, 2, generator=generator, device=self.rim.device, dtype=self.rim.dtype)


def _drawn(table: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    """Random rows of a table."""
    return table[torch.randint(max(1, len(table)), (rows,), generator=generator, device=table.device)]
