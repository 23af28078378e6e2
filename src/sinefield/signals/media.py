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
        self.register_buffer("grid", None if values is None else torch.from_numpy(values).to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """c, (..), at x (.., D)."""
        if self.grid is None:
            return torch.where(_SHAPES[self.name](x), _INSIDE, 1.0).to(x.dtype)
        grid, dims = self.grid.to(x), self.grid.dim()
        require(x.shape[-1] == dims, f"signal.medium={self.name} has {dims} axes, and space has {x.shape[-1]}")
        found, spacing = 0.0, 2 / max(grid.shape)
        cells, parts = [], []
        for d, n in enumerate(reversed(grid.shape)):  # the middle of the first pixel lies half a pixel inside
            u = (x[..., d] / spacing + (n - 1) / 2).clamp(0, n - 1)
            cells.append(u.detach().floor().clamp(max=max(0, n - 2)).long())
            parts.append(u - cells[-1])
        for corner in range(2**dims):
            weight, index = 1.0, []
            for d in range(dims):
                far = corner >> d & 1
                weight = weight * (parts[d] if far else 1 - parts[d])
                index.append((cells[d] + far).clamp(max=grid.shape[dims - 1 - d] - 1))
            found = found + weight * grid[tuple(reversed(index))]
        return found  # type: ignore[return-value]  # a tensor from the first corner on


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
