"""Media that waves travel in: ``m(x) = 1 / c(x)^2`` at a coordinate, for speeds c relative to that of a uniform medium.

`medium` makes one from what a user types: signal.medium=uniform, square, disc, or the path of a file.
Source of square and disc: Sitzmann et al., arXiv 2006.09661, supplement 5.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sinefield.errors import UserError, require
from sinefield.signals.decoding.pixels import decode

_SLOWNESS = 0.25  # m inside the square and the disc, and of a picture's black: c = 2


class Medium:
    """m = 1: a speed of 1 everywhere, and what others are made of.

    Attributes:
        files: the files that it was read from.

    >>> import torch
    >>> medium("disc")(torch.tensor([[0.0, 0.05], [0.5, 0.5]]))
    tensor([0.2500, 1.0000])
    """

    files: tuple[str, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        """m (N,) at coordinates x (N, D), of which the first two are those of the plane."""
        return torch.where(self.inside(x[:, 0], x[:, 1]), _SLOWNESS, 1.0).to(x)

    def inside(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether c = 2, (N,) at coordinates x and y (N,); nowhere here."""
        return torch.zeros_like(x, dtype=torch.bool)


class Square(Medium):
    """c = 2 where |x|, |y| < 0.3, and 1 elsewhere."""

    def inside(self, x: Tensor, y: Tensor) -> Tensor:
        """(N,)."""
        return torch.maximum(x.abs(), y.abs()) < 0.3


class Disc(Medium):
    """c = 2 where r < 0.1, and 1 elsewhere."""

    def inside(self, x: Tensor, y: Tensor) -> Tensor:
        """(N,)."""
        return torch.hypot(x, y) < 0.1


class Sampled(Medium):
    """m of a file, linear between its samples: the longest side spans [-1, 1]; what lies outside is as at the border.

    Args:
        path: a NumPy array (H, W) of m, or a picture, whose white is m = 1 (c = 1) and whose black is m = 1/4 (c = 2).

    Raises:
        UserError: it is neither, or m is not above 0 everywhere.
    """

    def __init__(self, path: str | Path) -> None:
        self.files = (str(path),)
        name = repr(str(path))
        values = array(path) if Path(path).suffix == ".npy" else None
        if values is None:
            values = _SLOWNESS + (1 - _SLOWNESS) * decode(path).mean(axis=2)
        positive = bool(np.isfinite(values).all() and (values > 0).all())
        cure = "give 1 / c^2, relative to a speed of 1"
        require(positive, f"{name} holds numbers that are not finite or not above 0; {cure}")
        self.values = torch.from_numpy(values)

    def __call__(self, x: Tensor) -> Tensor:
        """m (N,) at coordinates x (N, D)."""
        height, width = self.values.shape
        reach = x.new_tensor([(n - 1) / (max(height, width) - 1) for n in (width, height)])
        grid = (x[:, :2] / reach)[None, None]
        values = self.values.to(x)[None, None]
        return functional.grid_sample(values, grid, padding_mode="border", align_corners=True).reshape(-1)


_NAMED: dict[str, Callable[[], Medium]] = {"uniform": Medium, "square": Square, "disc": Disc}


def medium(name: str | Path) -> Medium:
    """The medium of a name, or of a file.

    Raises:
        UserError: there is no such name, nor such a file.
    """
    if str(name) in _NAMED:
        return _NAMED[str(name)]()
    close = difflib.get_close_matches(str(name), _NAMED, n=1)
    cure = f"did you mean {close[0]}?" if close else f"choose from {', '.join(_NAMED)}, or give a .npy or a picture"
    require(Path(name).exists() or ":" in str(name), f"signal.medium: there is no medium or file {str(name)!r}; {cure}")
    return Sampled(name)


class Named(Medium):
    """The medium of a name, or of a file, as `medium` makes it; a class, as run folders ask for no functions."""

    def __init__(self, name: str | Path) -> None:
        self.chosen = medium(name)
        self.files = self.chosen.files

    def __call__(self, x: Tensor) -> Tensor:
        """m (N,) at coordinates x (N, D)."""
        return self.chosen(x)


def array(path: str | Path) -> np.ndarray:
    """A NumPy file as (H, W) in double precision, 2 x 2 at least.

    Raises:
        UserError: it cannot be read, or is of another shape or kind.
    """
    name = repr(str(path))
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{name} cannot be read as a NumPy array ({reason}); save one by numpy.save") from error
    fits = isinstance(values, np.ndarray) and values.ndim == 2 and min(values.shape) >= 2 and values.dtype.kind in "fiu"
    require(fits, f"{name} must hold real numbers (H, W), 2 x 2 at least; not {getattr(values, 'shape', 'an archive')}")
    return values.astype(np.float64)
