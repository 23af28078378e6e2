"""A finished run's film at any speed and resolution, rendered frame by frame: memory is that of one frame.

Pixels are areas, as of pictures: at scale s pixel j of the rendering lies at (j + 1/2) / s - 1/2 in spacings of samples
from the first one. Frame k shows the time k v / r in seconds, at speed v and r frames per second.
"""

import math
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sinefield.errors import UserError, positive, require
from sinefield.evaluation.films import write_film
from sinefield.render.raster import target
from sinefield.report.colours import value_picture
from sinefield.report.parsing import parsed_json
from sinefield.runs.loading import load

__all__ = ["ENDINGS", "is_film", "render_film"]

ENDINGS = (".mp4",)
_LONGEST = 8192  # pixels along a side: what players of H.264 take
_MOST = 1_000_000  # frames


def is_film(folder: Path) -> bool:
    """Whether a folder holds the finished run of a film."""
    return (folder / "metrics.json").is_file() and isinstance(_about(folder), dict)


def _about(folder: Path) -> Any:
    """What metrics.json says of the film."""
    try:
        return dict(parsed_json(folder / "metrics.json")).get("film")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder} holds no whole run ({error}); get it again") from error


def render_film(
    folder: str | Path,
    path: str | Path,
    speed: float = 1.0,
    scale: float = 1.0,
    rate: float | None = None,
    device: str = "auto",
    checkpoint: str = "last",
    trust: Collection[str] = (),
    tile: int = 8192,
    progress: bool = False,
) -> str:
    """Write a film of a run, whole or not at all; what it is, in words.

    Args:
        folder: of the finished run.
        path: the file, .mp4.
        speed: seconds of the film that pass per second: 0.25 is four times as slow.
        scale: pixels of the rendering per sample, along each side.
        rate: frames per second; None for those of the film that was read, those held out included.
        device, checkpoint, trust: as of a mesh.
        tile: points evaluated at once.
        progress: whether to show a bar.

    Raises:
        UserError: the run is another, or an argument makes no sense.
    """
    folder, path = Path(folder), target(path, ENDINGS)
    speed, scale = positive("speed", speed), positive("scale", scale)
    there = torch.cuda.is_available()
    require(device in ("auto", "cpu", "cuda"), f"device must be auto, cpu or cuda, not {device!r}")
    require(there or device != "cuda", "torch finds no CUDA device here; use device=cpu")
    field: Any = load(folder, checkpoint, trust).to("cuda" if there and device != "cpu" else "cpu", torch.float32)
    where = next(field.parameters()).device
    about = _about(folder)
    require(isinstance(about, dict), f"{folder} is no run of a film; of a picture give out=x.png")
    try:
        half = [positive("the extent of the film", value) for value in about["extent"]]
        length, own = positive("its length", about["seconds"]), positive("its rate", about["rate"])
        samples, spacing = [int(n) for n in about["samples"]], positive("its spacing", about["spacing"])
        require(len(half) == 3 and len(samples) == 3, f"{folder}: its film has {len(half)} axes, not x, y and time")
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: metrics.json does not say what the film is ({error}); get it again") from error
    pace = own if rate is None else positive("rate", rate)
    wide, high = (math.floor(scale * n + 0.5) for n in samples[:2])
    fits = min(wide, high) >= 2 and max(wide, high) <= _LONGEST
    require(fits, f"scale={scale:g} makes {wide} × {high} pixels; a side must have 2 to {_LONGEST}")
    count = math.floor(length * pace / speed + 1e-6) + 1
    require(count <= _MOST, f"speed={speed:g} makes {count:,} frames, {_MOST:,} at most; give a smaller rate")
    columns, rows = (
        spacing * ((np.arange(n) + 0.5) / scale - 0.5) - edge for n, edge in zip((wide, high), half, strict=False)
    )
    plane = torch.from_numpy(np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)).float()

    def frames() -> Iterator[np.ndarray]:
        often = 0.1 if sys.stderr.isatty() else 10  # s; a log wants few lines
        for k in tqdm(range(count), unit="frame", disable=not progress, mininterval=often):
            time = min(1.0, k * speed / pace / length) * 2 * half[2] - half[2]
            x = torch.cat([plane, torch.full((len(plane), 1), time)], dim=1)
            yield value_picture(_values(field, x, where, tile).unflatten(0, (high, wide)).numpy())

    write_film(path, frames(), pace, least=1)
    shown = f"{wide // 2 * 2} × {high // 2 * 2} pixels"
    return f"{path}: {count:,} frames of {shown}, {pace:.5g} per second, {speed:g} times as fast as the film"


def _values(field: Any, x: Tensor, where: torch.device, tile: int) -> Tensor:
    """(N, C) on the CPU."""
    with torch.no_grad():
        found = torch.cat([field(part.to(where)).cpu() for part in x.split(tile)])
    require(bool(found.isfinite().all()), "the field is not finite: its fit diverged")
    return found
