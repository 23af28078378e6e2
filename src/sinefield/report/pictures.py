"""The pictures of a run, written to its folder: seven at their own resolution, and a contact sheet of them all.

Signal and field share one limit per derivative, so equal colours are equal numbers; colours.py says what they mean.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sinefield.errors import UserError, integer, require
from sinefield.report.colours import error_picture, gradient_picture, laplacian_picture, mean, rms, value_picture
from sinefield.report.parsing import parsed_json
from sinefield.system.files import write_atomically


class View(NamedTuple):
    """What a picture is drawn from: one function (field or signal) sampled on the picture grid.

    `value` is (H, W, C) in [-1, 1] with C = 1 or 3 (it may leave the range: clipped for display only), `gradient`
    (H, W, C, 2) per unit of coordinate in the order (d/dx, d/dy) with y down, `laplacian` (H, W, C) per unit².
    """

    value: np.ndarray
    gradient: np.ndarray
    laplacian: np.ndarray


def write_pictures(
    folder: Path, signal: View, field: View, caption: str, inputs: Mapping[str, np.ndarray] | None = None
) -> list[Path]:
    """Write the seven pictures of two views of one shape, and `contact_sheet.png`, which shows them all; their paths.

    The limits are the 98th percentiles of the signal's |∇| and |Δ|, so that edges are bright although few, and the
    99.5th of the error, each up to the next round number, so that runs of like quality share a scale. Each PNG's
    `Description` says what its colours mean. `inputs` are values (H, W, C) of what the signal was made of: each is
    written as `input_<name>.png`, and all of them beside signal and field in `merge.png`. Equal input, equal bytes.
    """
    from sinefield.report.sheet import contact_sheet, side_by_side  # noqa: PLC0415  no step waits for matplotlib

    with np.errstate(invalid="ignore"):  # inf - inf is painted, not warned about
        error = np.asarray(field.value, dtype=float) - signal.value
    slope = _limit(np.hypot(*np.moveaxis(mean(signal.gradient, axis=-2), -1, 0)), percent=98, least=1 / 255)
    curvature = _limit(np.abs(mean(signal.laplacian)), percent=98, least=1 / 255)
    worst = _limit(rms(error), percent=99.5, least=1e-5)
    values = "black to white: value -1 to 1"
    slopes = f"hue: uphill direction; black to full colour: 0 to {slope:,.6g} per unit of coordinate"
    curvatures = f"blue, white, red: -{curvature:,.6g}, 0, {curvature:,.6g} per unit² of coordinate"
    errors = f"black to yellow: |field - signal|, root mean square over channels, 0 to {worst:,.6g}"
    pictures = {
        "ground_truth": (value_picture(signal.value), values),
        "reconstruction": (value_picture(field.value), values),
        "error": (error_picture(error, worst), errors),
        "gradient_signal": (gradient_picture(signal.gradient, slope), slopes),
        "gradient_field": (gradient_picture(field.gradient, slope), slopes),
        "laplacian_signal": (laplacian_picture(signal.laplacian, curvature), curvatures),
        "laplacian_field": (laplacian_picture(field.laplacian, curvature), curvatures),
    }
    pictures |= {f"input_{name}": (value_picture(value), values) for name, value in (inputs or {}).items()}
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_write(folder / f"{name}.png", picture, words) for name, (picture, words) in pictures.items()]
    if broken := _broken(signal) + _broken(field):
        caption += f"\nmagenta: not finite ({broken:,} pixels of signal and field together)"
    panels = {name: picture for name, (picture, _) in pictures.items()}
    if inputs:
        shown = {f"input {name}": panels[f"input_{name}"] for name in inputs}
        shown |= {"classical solution": panels["ground_truth"], "field": panels["reconstruction"]}
        paths.append(_write(folder / "merge.png", side_by_side(shown, caption), caption))
    sheet = contact_sheet(panels, slope, curvature, worst, caption)
    return [*paths, _write(folder / "contact_sheet.png", sheet, caption)]


def grid(folder: Path) -> tuple[tuple[int, int], int]:
    """A finished run's samples (H, W), and n: its pictures show every n-th of them, from the first one on.

    A run whose metrics.json says nothing of it was drawn with all its samples.

    Raises:
        UserError: it is not the run of a picture, or what is there cannot be read.
    """
    file = folder / "ground_truth.png"
    require(file.is_file(), f"{folder} is not the run of a picture: no ground_truth.png in it")  # a pipe is waited for
    try:
        with Image.open(file) as truth:
            drawn = (truth.height, truth.width)
        found = dict(parsed_json(folder / "metrics.json")).get("grid", {"shape": drawn, "every": 1})
        height, width, every = (integer("grid", n, least=1) for n in (*found["shape"], found["every"]))
    except (OSError, ValueError, TypeError, LookupError, Image.DecompressionBombError) as error:
        raise UserError(f"{folder} is not the run of a picture: {error}") from error
    fits = tuple((n - 1) // every + 1 for n in (height, width)) == drawn
    require(fits, f"{file} does not show every {every}-th of {height} × {width} samples (metrics.json); get it again")
    return (height, width), every


def _broken(view: View) -> int:
    """How many pixels have a value, gradient or Laplacian that is not finite."""
    parts = (view.value, view.gradient[..., 0], view.gradient[..., 1], view.laplacian)
    return int(np.any([~np.isfinite(part) for part in parts], axis=(0, 3)).sum())


def _limit(size: np.ndarray, percent: float, least: float) -> float:
    """The percentile (the maximum where that is 0) of the finite sizes, up to the next round number.

    `least` keeps rounding noise dark: 1/255 per unit is one 8-bit step over the whole picture, 1e-5 is float32's.
    """
    size = size[np.isfinite(size)]
    limit = max(float(np.percentile(size, percent) or size.max()) if size.size else 0.0, least)
    power = 10.0 ** np.floor(np.log10(limit))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return float(f"{next(step for step in steps if step * power >= 0.999 * limit) * power:.2g}")


def _write(path: Path, picture: np.ndarray, description: str) -> Path:
    about, buffer = PngInfo(), BytesIO()
    about.add_text("Description", description)
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=8, pnginfo=about)
    write_atomically(path, buffer.getvalue())
    return path
