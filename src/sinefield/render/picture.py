"""A finished run's field as a continuous picture: any resolution, any crop, any derivative, any point.

Positions are (column, row) in pixels of the training grid, (0, 0) at the centre of the first sample; a pixel is the
area of side 1 around its sample. A rendering of scale s cuts each into s × s, and centres its own pixel j at

    p_j = left - 1/2 + (j + 1/2) / s        left: the first pixel of the crop, 0 without one

as image libraries do: the outermost half pixel is extrapolated, and below s = 1 the field is sampled, not averaged.
Points are evaluated and rows written a tile at a time: no picture, however large, is ever held whole.
"""

import sys
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from sinefield.core.jet import Jet
from sinefield.errors import UserError, integer, positive, require
from sinefield.render.raster import WRITERS, target, write_png
from sinefield.report.colours import gradient_picture, laplacian_picture, mean, value_picture
from sinefield.report.pictures import grid
from sinefield.report.zoom import busiest, place, zoom_figure
from sinefield.runs.loading import load
from sinefield.system.files import atomic_write

TILE = 8192  # points evaluated at once: some 200 MB for the Laplacian of 256 neurons, and nearly in cache
PARTS = ("value", "gradient", "laplacian")  # a part's place is the order of the jet that holds it
UNITS = {  # what the values -1 and 1 are called; what the three parts are per
    "colour": (0, 1, ("", " per pixel", " per pixel²")),
    "byte": (0, 255, ("", " per pixel", " per pixel²")),
    "field": (-1, 1, ("", " per unit of coordinate", " per unit² of coordinate")),
}


def unit(part: str, units: str) -> str:
    """What the numbers of a part are in, such as "colours of 0 to 1 per pixel"."""
    black, white, per = UNITS[_among("units", units, UNITS)]
    return f"colours of {black} to {white}{per[PARTS.index(part)]}"


class Picture:
    """The field of a finished run over its (H, W) = `shape` samples, with C `channels`; its pictures show every n-th.

    The device is cpu, cuda or auto, the checkpoint last or best; the classes of `trust`ed packages beside this one may
    be in the configuration. UserError where the folder holds no finished run of a picture.
    """

    def __init__(
        self, folder: str | Path, device: str = "auto", checkpoint: str = "last", trust: Collection[str] = ()
    ) -> None:
        self.folder, there = Path(folder), torch.cuda.is_available()
        require(self.folder.is_dir(), f"there is no folder {folder}; give the folder of a finished run")
        _among("device", device, ("auto", "cpu", "cuda"))
        require(there or device != "cuda", "torch finds no CUDA device here; use device=cpu")
        self.device = torch.device("cuda" if there and device != "cpu" else "cpu")
        self.field: Any = load(folder, checkpoint, trust).to(self.device, torch.float32)
        self.shape, self.every = grid(self.folder)
        try:
            self.channels = self.jet(np.zeros((1, 2)), order=0).value.shape[1]
        except RuntimeError as error:
            raise UserError(f"{folder} is not the run of a picture: {error}") from error

    def jet(self, positions: np.ndarray, order: int, units: str = "colour") -> Jet:
        """Value (N, C), gradient (N, C, 2) and Laplacian (N, C) at positions (N, 2) in pixels, as deep as `order` asks.

            x = h p - extent        h = 2 / (max(H, W) - 1)        grad_p f = h grad_x f        lap_p f = h² lap_x f

        units="colour" has values in [0, 1] and derivatives of those per pixel, "byte" the same of values in [0, 255],
        "field" values in [-1, 1] and derivatives per unit of coordinate. On the CPU; UserError where not finite.
        """
        (black, white, _), h = UNITS[_among("units", units, UNITS)], 2 / (max(self.shape) - 1)
        x = torch.from_numpy(h * (positions - (np.array(self.shape[::-1]) - 1) / 2))
        with torch.no_grad():
            parts = [part.cpu() for part in self.field.jet(x.float().to(self.device), order).parts]
        finite = all(bool(part.isfinite().all()) for part in parts)
        require(finite, f"the field of {self.folder} is not finite: its fit diverged")
        half, length = (white - black) / 2, 1 if units == "field" else h
        value, *derivatives = (half * length**k * part for k, part in enumerate(parts))
        return Jet(value + (black + half), *derivatives)

    def axes(self, scale: float, crop: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """The positions of a rendering's rows (H',) and columns (W',): p_j above, H' = s (bottom - top), rounded.

        crop is [left, top, right, bottom] in pixels as areas: [0, 0, W, H], or None, is everything.
        """
        scale, (height, width) = positive("scale", scale), self.shape
        left, top, right, bottom = _rows("crop", [0, 0, width, height] if crop is None else crop, 4, most=1)[0]
        inside = 0 <= left < right <= width and 0 <= top < bottom <= height
        require(inside, f"crop must be [left, top, right, bottom] inside [0, 0, {width}, {height}], not {crop}")
        high, wide = (np.floor(scale * float(side) + 0.5) for side in (bottom - top, right - left))
        fits = min(high, wide) >= 1 and max(high, wide) <= 1_000_000  # the longest side that readers of PNG take
        require(fits, f"scale={scale:g} makes {wide:.7g} × {high:.7g} pixels; a side must have 1 to 1,000,000")
        return top - 0.5 + (np.arange(high) + 0.5) / scale, left - 0.5 + (np.arange(wide) + 0.5) / scale

    def bands(
        self, part: str, axes: tuple[np.ndarray, np.ndarray], units: str, tile: int = TILE, progress: bool = False
    ) -> Iterator[np.ndarray]:
        """A part on (rows, columns), some rows at a time: (rows, W', C) or (rows, W', C, 2) of float32."""
        order, (rows, columns) = PARTS.index(part), axes
        high, often = max(1, tile // len(columns)), 0.1 if sys.stderr.isatty() else 10  # s; a log wants few lines
        for start in tqdm(range(0, len(rows), high), unit="band", disable=not progress, mininterval=often):
            points = np.stack(np.meshgrid(columns, rows[start : start + high]), axis=-1).reshape(-1, 2)
            jets = (self.jet(points[i : i + tile], order, units) for i in range(0, len(points), tile))
            yield torch.cat([getattr(jet, part) for jet in jets]).unflatten(0, (-1, len(columns))).numpy()

    def limit(self, part: str, units: str) -> float:
        """The 98th percentile of |∇| or |Δ|, of the channels' mean, on some 128 × 128 points over the whole picture."""
        scale = min(1, max(128 / max(self.shape), 1 / min(self.shape)))
        bands = self.bands(part, self.axes(scale), units)
        found = np.concatenate([np.linalg.norm(mean(band, 2).reshape(*band.shape[:2], -1), axis=-1) for band in bands])
        return float(f"{max(np.percentile(found, 98) or found.max(), 1e-6):.2g}")


def at(run: str | Path | Picture, positions: Any, part: str = "value", units: str = "colour") -> Jet:
    """The jet at sub-pixel positions [[column, row], ...], from [0, 0] to [W - 1, H - 1], up to `part`."""
    points, order = _rows("at", positions, 2), PARTS.index(_among("part", part, PARTS))
    picture = run if isinstance(run, Picture) else Picture(run)
    last = np.array(picture.shape[::-1]) - 1
    outside = points[((points < 0) | (points > last)).any(axis=1)].tolist()
    require(not outside, f"{outside[:1]} lies outside the picture, whose samples are at [0, 0] to {last.tolist()}")
    return picture.jet(points, order, units)


def render(
    run: str | Path | Picture, path: str | Path, part: str = "value", scale: float = 1, crop: Any = None, bits: int = 8,
    limit: float | None = None, units: str = "colour", tile: int = TILE, progress: bool = False,
) -> str:  # fmt: skip
    """Write a rendering of H' × W' pixels, whole or not at all; what it shows, in words.

    Args:
        run: the folder of a finished run, or its `Picture`.
        path: .npy or .tif for float32, (H', W', C) or for the gradient (H', W', C, 2), in a TIFF (H', W', 2C); .png for
            colours: values of -1 to 1 as black to white, clipped; derivatives as `report.colours` draws them.
        part: value, gradient or laplacian.
        scale, crop: as `Picture.axes` takes them.
        bits: 8 or 16, of the values in a PNG.
        limit: the derivative that a PNG shows in full colour; None for `Picture.limit`.
        units: of float32 and of the limit: colour, byte or field, see `Picture.jet`.
        tile, progress: points evaluated at once; whether to show a bar.

    Raises UserError for what makes no sense among these; then nothing is written.
    """
    path, order = target(path), PARTS.index(_among("part", part, PARTS))
    write = WRITERS[path.suffix.lower()]
    words, _ = f"{part} in {unit(part, units)}", integer("tile", tile, least=1)
    picture = run if isinstance(run, Picture) else Picture(run)
    axes, paint = picture.axes(scale, crop), np.asarray
    if write is write_png:
        drawn, legend = _DRAWN[part]
        bits, limit = _among("bits", bits, (8, 16)), picture.limit(part, units) if limit is None else limit
        paint = partial(drawn, limit=positive("limit", limit), bits=bits)
        words, units = words + legend.format(limit), units if order else "field"
    kind = paint(np.zeros((1, 1, picture.channels) + (2,) * (order == 1), np.float32))
    shape = (len(axes[0]), len(axes[1]), *kind.shape[2:])
    with atomic_write(path) as file:
        write(file, map(paint, picture.bands(part, axes, units, tile, progress)), shape, kind.dtype, words)
    return f"{path}: {shape[1]} × {shape[0]} pixels, {words}"


def zoom(run: str | Path | Picture, path: str | Path, where: Any = None) -> str:
    """Write the zoom figure, a PNG, of [column, row, size] or None for the busiest place; what it shows, in words."""
    path = target(path, (".png",))
    picture = run if isinstance(run, Picture) else Picture(run)
    with Image.open(picture.folder / "ground_truth.png") as truth:
        pixels = np.asarray(truth.convert("RGB"))
    n, spot = picture.every, None if where is None else _rows("zoom", where, 3, most=1)[0].tolist()
    crop = busiest(pixels) if spot is None else place(picture.shape, spot, n)

    def field(s: int) -> np.ndarray:
        rows, columns = (n * ((np.arange(s * a, s * b) + 0.5) / s - 0.5) for a, b in (crop[1::2], crop[::2]))
        return value_picture(np.concatenate([*picture.bands("value", (rows, columns), "field")]))

    words = f"columns {n * crop[0]} to {n * crop[2] - n}, rows {n * crop[1]} to {n * crop[3] - n} of {picture.folder}"
    figure = zoom_figure(pixels, crop, field, words, n)
    with atomic_write(path) as file:
        Image.fromarray(figure).save(file, "PNG")
    return f"{path}: {words}"


def _shades(value: np.ndarray, limit: float, bits: int) -> np.ndarray:
    level = np.clip((value.astype(float) + 1) / 2, 0, 1)
    return np.rint((2**bits - 1) * level).astype(f"u{bits // 8}")


_DRAWN: dict[str, tuple[Callable[..., np.ndarray], str]] = {  # how a PNG shows a part, and what its colours say
    "value": (_shades, ", black to white"),
    "gradient": (lambda band, limit, bits: gradient_picture(band, limit), "; hue: uphill, full colour: {:g}"),
    "laplacian": (lambda band, limit, bits: laplacian_picture(band, limit), "; blue: -{0:g}, white: 0, red: {0:g}"),
}


def _among(name: str, value: Any, choices: Collection[Any]) -> Any:
    """`value`, which must be one of the choices."""
    require(value in list(choices), f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
    return value


def _rows(name: str, value: Any, length: int, most: float = np.inf) -> np.ndarray:
    """`value` as (N, length) finite float64, `most` rows at most; a single row may come without its brackets."""
    try:
        array = np.atleast_2d(np.array(value, dtype=float))
    except (TypeError, ValueError):
        array = np.empty(0)
    good = array.ndim == 2 and 0 < len(array) <= most and array.shape[1] == length and bool(np.isfinite(array).all())
    require(good, f"{name} takes {length} numbers in brackets, not {value}")
    return array
