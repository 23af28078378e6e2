"""Media: the speed of waves c(x) over space, 1 where nothing is said.

uniform   c = 1
square    c = 2 where |x|, |y| < 0.3      (Sitzmann et al., arXiv 2006.09661, supplement sec. 5)
disc      c = 2 where |x| < 0.1           (the same)
a file    .npy: c itself, in units of the speed 1; a picture: 1/c^2, white for 1; over [-1, 1] along the longest side,
          rows from y = -1 on, linear between the middles of its pixels, and constant beyond

In one dimension square and disc are intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sinefield.errors import UserError, require

_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": lambda x: x[..., 0].abs() < 0,
    "square": lambda x: x.abs().amax(-1) < 0.3,
    "disc": lambda x: x.norm(dim=-1) < 0.1,
}
_INSIDE = 2.0  # speed within a shape


class Medium(nn.Module):
    """x (.., D) to c (..), the speed at any coordinate; any D for the named ones, 2 for a file, 1 for a 1-D .npy.

    Args:
        name: uniform, square, disc, or the path of a file.

    Attributes:
        files: the file that it was read from.
        slowest, fastest: least and largest speed.
        outside: the largest speed on the border of the box and beyond it.

    Raises:
        UserError: there is no such medium, or a speed is not a finite number above 0.

    >>> Medium("square")(torch.tensor([[0.2, -0.2], [0.2, 0.4]])).tolist()
    [2.0, 1.0]
    """

    grid: Tensor | None

    def __init__(self, name: str = "uniform") -> None:
        super().__init__()
        self.name = str(name)
        values = None if self.name in _SHAPES else _read(Path(self.name))
        self.files: tuple[str, ...] = () if values is None else (self.name,)
        self.slowest = 1.0 if values is None else float(values.min())
        self.fastest = (1.0 if self.name == "uniform" else _INSIDE) if values is None else float(values.max())
        edge = [] if values is None else [values.take(at, axis).max() for axis in range(values.ndim) for at in (0, -1)]
        self.outside = float(max(edge, default=1.0))
        self.register_buffer("grid", None if values is None else torch.from_numpy(values).to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """c, (..), at x (.., D)."""
        if self.grid is None:
            return torch.where(_SHAPES[self.name](x), _INSIDE, 1.0).to(x.dtype)
        grid, dims = self.grid.to(x), self.grid.dim()
        require(x.shape[-1] == dims, f"signal.medium={self.name} has {dims} axes, and space has {x.shape[-1]}")
        counts = x.new_tensor(list(reversed(grid.shape)))
        u = (x * max(grid.shape) / 2 + (counts - 1) / 2).clamp(min=0).minimum(counts - 1)
        cell = u.detach().floor().minimum(counts - 2)  # the middle of the first pixel lies half a pixel inside
        found = torch.zeros_like(x[..., 0])
        for far in product((0, 1), repeat=dims):
            corner = x.new_tensor(far)
            weight = torch.where(corner > 0, u - cell, 1 - u + cell).prod(-1)
            found = found + weight * grid[(cell + corner).long().flip(-1).unbind(-1)]
        return found


def _read(path: Path) -> np.ndarray:
    """c over the box, (H, W) or (W,), from a file."""
    named = ", ".join(_SHAPES)
    require(path.is_file(), f"signal.medium={path} is neither a file nor one of {named}")
    try:
        if path.suffix.lower() == ".npy":
            values = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        else:
            with Image.open(path) as picture, np.errstate(divide="ignore"):
                values = (np.asarray(picture.convert("L"), dtype=np.float64) / 255) ** -0.5
    except (OSError, ValueError, ZeroDivisionError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"signal.medium={path} cannot be read ({reason}); give an .npy of speeds or a picture"
        ) from error
    shape = f"signal.medium={path} has shape {values.shape}; give one axis or two, of at least 2 values"
    require(values.ndim in (1, 2) and min(values.shape, default=0) > 1, shape)
    fine = bool(np.isfinite(values).all()) and values.min() > 0
    require(
        fine, f"signal.medium={path} has speeds that are not finite numbers above 0; black in a picture is no speed"
    )
    return values
