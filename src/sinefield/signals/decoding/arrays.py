"""Pictures that are no files yet."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sinefield.errors import UserError, require
from sinefield.system.files import atomic_write, writing

_CURE = "give (H, W) or (H, W, 3) of uint8, uint16 or floats from 0 to 1"


def write_picture(pixels: Any, path: Path) -> Path:
    """Write pixels (H, W), (H, W, 1) or (H, W, 3) as a TIFF beside `path` that `decode` reads as they are.

    Args:
        pixels: what NumPy takes as uint8, uint16, or floats in [0, 1], kept as float32; bool is 0 and 1.
        path: of the file, without its suffix; its folder is made.

    Returns the file. Raises `UserError` for pixels of another shape, kind or range.
    """
    try:
        array = np.asarray(pixels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"a picture cannot be made of {type(pixels).__name__} ({error}); {_CURE}") from error
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    require(fits, f"a picture cannot have the shape {array.shape}; {_CURE}")
    if array.dtype.kind in "bf":
        array = array.astype(np.float32)
        inside = bool(np.isfinite(array).all() and (array >= 0).all() and (array <= 1).all())
        require(inside, f"a picture of floats must lie from 0, black, to 1, white; {_CURE}")
    require(array.dtype in (np.uint8, np.uint16, np.float32), f"a picture cannot be of {array.dtype}; {_CURE}")
    file = path.with_suffix(".tif")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        tifffile.imwrite(stream, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    return file
