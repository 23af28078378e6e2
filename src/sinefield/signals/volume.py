"""A volume: values over (x, y, z), with voxels held out in between, in physical proportions.

The three axes have spacings s_x, s_y, s_z of their own; the coordinates are those of space, the same unit along all of
them, so that gradients and Laplacians mean what they do in the file's: the longest side spans [-1, 1].

    half of axis d = (n_d - 1) s_d / max_e (n_e - 1) s_e
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from sinefield.errors import integer, positive, require
from sinefield.signals.base import Axis
from sinefield.signals.decoding import voxels
from sinefield.signals.dense import Dense

_log = logging.getLogger(__name__)
_LEAST = 4  # samples along an axis: a cubic spline needs them
_WAVES = 16.0  # radians per unit of coordinate of what fills the ball that is made here


class Volume(Dense):
    """A volume as a function of (x, y, z), one channel; its least value is -1 and its largest 1.

    Args:
        path: .npy, .npz, .tif of several pages, .nii, .nii.gz; None for a ball filled with a gyroid, in closed form.
        size: samples along the axis that has most, at most: of more, means of neighbouring voxels; None for all.
        spacing: of the voxels along x, y, z, in any unit; None for what the file tells, or 1.
        holdout: keep every second voxel along each axis as the truth to score on.
        frame: which volume of a file that has several.

    Attributes:
        unit: what a unit of coordinate is in the unit of the spacings.
        low, high: the values of the file that are -1 and 1.

    Raises:
        UserError: the file is no volume, has voxels that are not finite, or the spacings make no sense.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        size: int | None = 64,
        spacing: Sequence[float] | None = None,
        holdout: bool = True,
        frame: int | None = None,
    ) -> None:
        step, told = 2 if holdout else 1, None
        most = None if size is None else step * (integer("signal.size", size, least=_LEAST) - 1) + 1
        self_made = path is None
        if path is None:
            values = np.empty((most or 127,) * 3, np.float32)
        else:
            values, told = voxels.read(path, frame)
            wrong = told is not None and not all(math.isfinite(s) and s > 0 for s in told)
            if spacing is None and wrong:
                _log.warning("%r tells spacings of %s; 1 is taken, signal.spacing=[x,y,z] sets others", path, told)
        known = told if told is not None and all(math.isfinite(s) and s > 0 for s in told) else (1.0, 1.0, 1.0)
        given = known if spacing is None else tuple(spacing) if isinstance(spacing, Sequence) else (spacing,)
        require(len(given) == 3, f"signal.spacing takes three numbers, along x, y and z, not {spacing}")
        along = [positive("signal.spacing", s) for s in reversed(given)]  # z, y, x
        if path is not None:
            values, along = _reduced(values, along, most, str(path))
        values = values[tuple(slice(0, (n - 1) // step * step + 1) for n in values.shape)]
        shape = tuple((n - 1) // step + 1 for n in values.shape)
        name = "the volume" if path is None else repr(str(path))
        said = f"{name} has {' x '.join(map(str, reversed(shape)))} samples, and {_LEAST} along each axis are needed"
        require(min(shape) >= _LEAST, f"{said}; take a larger signal.size, or signal.holdout=false")
        sides = [(n - 1) * s for n, s in zip(values.shape, along, strict=True)]
        half = [side / max(sides) for side in sides]
        axes = [Axis(a, extent=h, length=s) for a, h, s in zip("xyz", reversed(half), reversed(sides), strict=True)]
        super().__init__(shape, 1, axes, step, Ball() if self_made else None)
        self.unit, self.files, self.low, self.high = max(sides) / 2, () if path is None else (str(path),), -1.0, 1.0
        if path is not None:
            self.low, self.high = float(values.min()), float(values.max())
            require(self.low < self.high, f"{name} is {self.low:g} everywhere; there is nothing to fit")
            values = ((values - self.low) * (2 / (self.high - self.low)) - 1).astype(np.float32)
            self.values = values[..., None]

    def stored(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(d, h, w, 1) values where these numbers along z, y and x cross."""
        return self.values[np.ix_(*numbers)]

    def stored_at(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(N, 1) values at these numbers along z, y and x."""
        return self.values[tuple(numbers)]

    def to_file(self, x: np.ndarray) -> np.ndarray:
        """(N, 3) places along x, y, z, in the unit of the spacings from the first voxel, of coordinates x (N, 3)."""
        return (x + self.extent.double().cpu().numpy()) * self.unit


def _reduced(values: np.ndarray, spacings: list[float], most: int | None, name: str) -> tuple[np.ndarray, list[float]]:
    """Means over blocks of voxels, as few per block as leave `most` along the longest axis, and their spacings.

    Slice by slice of blocks, so that a file that is mapped into memory is never read as a whole. Raises `UserError`
    where voxels are not finite.
    """
    n = 1 if most is None else -(-max(values.shape) // most)
    each = [n if side >= n * _LEAST else 1 for side in values.shape]
    shape = [side // k for side, k in zip(values.shape, each, strict=True)]
    found = np.empty(shape, np.float32 if values.dtype.itemsize < 8 else np.float64)
    broken = 0
    for i in range(shape[0]):
        block = values[i * each[0] : (i + 1) * each[0], : shape[1] * each[1], : shape[2] * each[2]].astype(np.float64)
        broken += int((~np.isfinite(block)).sum())
        found[i] = block.reshape(each[0], shape[1], each[1], shape[2], each[2]).mean(axis=(0, 2, 4))
    cure = "fill them, as by numpy.nan_to_num, or cut the volume"
    require(broken == 0, f"{name!r} holds {broken:,} voxels that are not finite numbers; {cure}")
    return found, [s * k for s, k in zip(spacings, each, strict=True)]


class Ball:
    """A soft ball filled with a gyroid, in closed form: ``2 S((0.72^2 - |x|^2) / 0.04) (0.6 + 0.4 g(x)) - 1``.

    S is the logistic function and ``g = (sin kx cos ky + sin ky cos kz + sin kz cos kx) / 1.5``.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 1) values at x (N, 3), in [-1, 1]."""
        sine, cosine = (_WAVES * x).sin(), (_WAVES * x).cos()
        gyroid = (sine * cosine.roll(-1, dims=1)).sum(1, keepdim=True) / 1.5
        inside = ((0.72**2 - x.square().sum(1, keepdim=True)) / 0.04).sigmoid()
        return 2 * inside * (0.6 + 0.4 * gyroid) - 1
