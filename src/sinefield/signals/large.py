"""A picture larger than memory: the cubic spline through its pixels, solved anew around every point that is asked for.

Interpolation couples all pixels of a row, but the weight of a pixel n samples away falls as z^n, z = sqrt(3) - 2, that
is 0.27^n. So the spline at a point is that through the 2n x 2n samples S around it, to 0.27^n of their contrast. With
W_d the d-th derivatives of the B-splines at the point, and I the inverse of the interpolation system of 2n samples,
which is the same for all windows,

    d^(a+b) s / dx^a dy^b = (W_b I) S (W_a I)^T

At the border of the picture the window ends where the picture does, with the same end condition as `image` has there.
Source: Unser, Splines: a perfect fit for signal and image processing (1999), box 2 (the pole z).
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet, joined
from sinefield.errors import integer, require
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.signals.decoding.levels import scaled
from sinefield.signals.decoding.mapped import Mapped

_DEGREE = 3
_AT_ONCE = 4096  # points whose windows are held at a time: 16 x 16 samples each, of 12 bytes with their places, 13 MB


class Large(Signal):
    """An uncompressed TIFF as `Image` with all its pixels would show it, which is never read as a whole.

    Scores and pictures look at every n-th sample along each axis, n odd. Those are true samples, not means over n x n
    of them, so the PSNR is an estimate of that over all; SSIM is that of these samples as a picture.

    Args:
        path: what `Mapped` reads.
        holdout: train on every second pixel and keep those between as the truth to score on.
        reach: samples to each side of a point that its spline sees; at 8 the rest is less than a hundredth of one of
            255 levels. The cost of derivatives and of points between the samples grows as its square.
        scored: points that are scored and drawn, at most.
        white: the stored value of white where a channel has 16 bits; None for 65535. Values above it are looked for
            among the points scored alone.

    Raises:
        UserError: the file cannot be mapped into memory, or is too small.
    """

    down: Tensor
    across: Tensor

    def __init__(
        self, path: str | Path, holdout: bool = True, reach: int = 8, scored: int = 2**18, white: float | None = None
    ) -> None:
        file, step = Mapped(path, white), 2 if holdout else 1
        height, width = (-(-n // step) for n in file.shape[:2])
        require(min(height, width) > _DEGREE, f"{path} has {width} x {height} samples; take a picture with more")
        super().__init__((height, width), file.shape[2])
        self.file, self.step, self.files = file, step, (str(path),)
        self.reach = integer("signal.reach", reach, least=_DEGREE)
        integer("signal.scored", scored, least=64)
        while math.prod((n - 1) // self.every * self.step + 1 for n in self.shape) > scored:
            self.every += 2
        for name, n in zip(("down", "across"), self.shape, strict=True):
            inverse = spline.coefficients(np.eye(min(n, 2 * reach)), _DEGREE)
            self.register_buffer(name, torch.from_numpy(inverse).to(self.extent))
        rows, columns = (self.every * torch.arange((n - 1) // self.every * step + 1)[None] for n in self.shape)
        overview = np.concatenate([file(row.numpy(), columns.numpy())[0] for row in rows.split(1, dim=1)])
        # (H', W', C); a line says what in it is out of range, or nearly black
        values = 2 * scaled(overview.astype(file.type), repr(str(path)), file.peak) - 1
        self.fine = torch.from_numpy(values).to(self.extent) if holdout else None

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, D) and Laplacian (N, C) at coordinates x (N, D), as deep as `order` asks."""
        return joined([self._jet(block, order) for block in x.split(_AT_ONCE)])

    def _jet(self, x: Tensor, order: int) -> Jet:
        """The jet at a block of points."""
        u = self.pixels(x).flip(-1)
        nearest = u.round()
        # Coordinates at samples are so to their own rounding, and the spline's values there are the samples.
        rounding = 4 * max(self.shape) * torch.finfo(x.dtype).eps
        if order == 0 and not x.requires_grad and bool(((u - nearest).abs() <= rounding).all()):
            row, column = nearest.long().split(1, dim=1)
            return Jet(self._scaled(self._read(row, column, x)[:, 0, 0]) - 1)
        rows, down = _weights(u[:, 0], self.shape[0], self.down, self.reach, order)
        columns, across = _weights(u[:, 1], self.shape[1], self.across, self.reach, order)
        window = self._read(rows, columns, x)
        along = [self._scaled(torch.einsum("nijc,nj->nic", window, w)) for w in across]

        def derivative(a: int, b: int) -> Tensor:  # the a-th along x of the b-th along y, per spacing, (N, C)
            return torch.einsum("nic,ni->nc", along[a], down[b])

        parts, h = [derivative(0, 0) - 1], self.spacing
        if order >= 1:
            parts.append(torch.stack([derivative(1, 0), derivative(0, 1)], dim=-1) / h)
        if order >= 2:
            parts.append((derivative(2, 0) + derivative(0, 2)).unsqueeze(-1) / h**2)
        return Jet(*parts)

    def _read(self, rows: Tensor, columns: Tensor, like: Tensor) -> Tensor:
        """(N, a, b, C) stored values where rows (N, a) and columns (N, b) of samples cross; on `like`'s device."""
        numbers = ((self.step * part).cpu().numpy() for part in (rows, columns))
        return torch.from_numpy(self.file(*numbers)).to(like)

    def _scaled(self, stored: Tensor) -> Tensor:
        """From black at 0 to white at 2; to be shifted by -1 where it is no derivative."""
        return stored * (2 / self.file.peak)


def _weights(u: Tensor, n: int, inverse: Tensor, reach: int, order: int) -> tuple[Tensor, list[Tensor]]:
    """The numbers of the L = min(n, 2 reach) samples that count at positions u (N,) along an axis of n, (N, L).

    And their weights (N, L) for each derivative up to `order`, per spacing.
    """
    known, seen = inverse.shape
    cell = u.floor().clamp(0, n - 2)
    start = (cell - reach + 1).clamp(0, n - seen).long()
    t, first = u - cell, cell.long() - start
    taps = first[:, None] + torch.arange(_DEGREE + 1, device=u.device)
    none = torch.zeros(len(u), known, dtype=u.dtype, device=u.device)
    splines = [none.scatter(1, taps, spline.weights(t, _DEGREE, d)) for d in range(order + 1)]
    return start[:, None] + torch.arange(seen, device=u.device), [b @ inverse.to(u.dtype) for b in splines]
