"""A finished run's surface f = level as a mesh, in the coordinates of the file that the shape was read from."""

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sinefield.errors import require
from sinefield.evaluation.mesh_files import ENDINGS, write_mesh
from sinefield.render.raster import target
from sinefield.runs import trusted_config
from sinefield.runs.configuration import anchor_paths, build
from sinefield.runs.loading import load
from sinefield.solvers.components import closed, components, largest
from sinefield.solvers.isosurface import extract_field

__all__ = ["ENDINGS", "dimensions", "render_mesh"]


def render_mesh(
    folder: str | Path,
    path: str | Path,
    resolution: int = 256,
    level: float = 0.0,
    only_largest: bool = False,
    device: str = "auto",
    checkpoint: str = "last",
    trust: Collection[str] = (),
    progress: bool = False,
) -> str:
    """Write the surface of a run whose field has three coordinates and one channel; what it is, in words.

    Args:
        folder: of the finished run.
        path: the file, which ends in .ply, .obj, .stl, .off or .glb; it is written whole or not at all.
        resolution: cells along the longest side of the signal's box.
        level: of f, in its own unit.
        only_largest: leave out all parts but the one with the largest area.
        device: cpu, cuda or auto.
        checkpoint: last or best.
        trust: packages whose classes the folder may ask for.
        progress: whether to show a bar.

    Raises:
        UserError: the run is another, its signal's file is gone, there is no surface, or the file cannot be written.
    """
    path = target(path, ENDINGS)
    there = torch.cuda.is_available()
    require(device in ("auto", "cpu", "cuda"), f"device must be auto, cpu or cuda, not {device!r}")
    require(there or device != "cuda", "torch finds no CUDA device here; use device=cpu")
    field: Any = load(folder, checkpoint, trust).to("cuda" if there and device != "cpu" else "cpu", torch.float32)
    dims, channels = dimensions(folder, trust), field.head.out_features
    said = f"a mesh needs a field with three coordinates and one channel; that of {folder} has {dims} and {channels}"
    require((dims, channels) == (3, 1), said)
    signal = _signal(Path(folder), trust)
    high = signal.extent.double().numpy()
    with _bar(progress) as shown:
        vertices, faces = extract_field(field, -high, high, resolution, level=float(level), progress=shown)
    _, areas = components(vertices, faces)
    parts = "1 part"
    if len(areas) > 1:
        share = f"{100 * areas[0] / areas.sum():.4g} % of the area"
        parts = f"{len(areas):,} parts, of which the largest has {share}"
        parts += " and is kept" if only_largest else "; largest=true keeps it alone"
    if only_largest:
        vertices, faces = largest(vertices, faces)
    shape = "closed" if closed(faces) else "open, cut off at the box"
    to_file: Callable[[np.ndarray], Any] | None = getattr(signal, "to_file", None)
    placed = vertices if to_file is None else np.asarray(to_file(vertices), dtype=float)
    write_mesh(path, placed, faces)
    units = "coordinates of the field" if to_file is None else "the file's own coordinates"
    return f"{path}: {len(vertices):,} vertices, {len(faces):,} faces, {shape}, {parts}; in {units}"


def dimensions(folder: str | Path, trust: Collection[str] = ()) -> Any:
    """How many coordinates the field of a run has."""
    return trusted_config.part(Path(folder), "field", trust).get("in_features")


def _signal(folder: Path, trust: Collection[str]) -> Any:
    """The signal of a run, whose relative paths are meant where the run was started."""
    config: Any = trusted_config.part(folder, "signal", trust)
    start = trusted_config.started_in(folder)
    if start is not None:
        anchor_paths(config._get_root(), Path(start), missing_here=True)
    return build(config)


@contextmanager
def _bar(wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    """What shows how many blocks are done; a log wants few lines."""
    with tqdm(unit="block", disable=not wanted, mininterval=0.1 if sys.stderr.isatty() else 10) as bar:

        def shown(done: int, known: int) -> None:
            bar.total = known
            bar.update(done - bar.n)

        yield shown if wanted else None
