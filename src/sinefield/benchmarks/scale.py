"""What a step costs as the work grows: time and memory against the picture, the network and the points per step.

Every row is a run of train.py in a process of its own, from its start to its pictures, on a large picture in a file:
made tile by tile, since it would not fit into memory. The first is the default network on a small picture in memory,
which the others are to be compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
import numpy as np
import tifffile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from sinefield.benchmarks.stopwatch import watched
from sinefield.errors import require
from sinefield.report import markdown

SIDE = "picture side"
KNOBS = {"width": "field.width", "depth": "field.depth", "points": "data.batch_size"}
DEFAULT = {SIDE: 1024, "width": 256, "depth": 3, "points": 4096}
_TILE = 256  # pixels: the usual size, and a multiple of 16 as the format asks
_SKIPPED = 3  # steps at the beginning, which still allocate


def rows(
    script: Path,
    scratch: Path,
    grown: Mapping[str, Sequence[int]],
    losses: Sequence[str],
    overrides: Sequence[str] = (),
    steps: int = 20,
) -> Iterator[dict[str, Any]]:
    """One row per loss, knob and value, the other knobs at their defaults.

    Args:
        script: train.py.
        scratch: a folder for the pictures.
        grown: the values of each knob, by its name in `DEFAULT`.
        losses: those compared.
        overrides: further ones, of all runs.
        steps: per run, of which the median counts, but for the first few.
    """
    require(steps > _SKIPPED, f"steps must be at least {_SKIPPED + 1}, since the first {_SKIPPED} do not count")
    for side in {DEFAULT[SIDE], *grown[SIDE]}:
        write_picture(scratch / f"{side}.tif", side)
    cases = [("in memory", 256)] + [(knob, value) for knob, values in grown.items() for value in values]
    for (knob, value), loss in tqdm([(case, loss) for case in cases for loss in losses], leave=False):
        case = DEFAULT | {knob: value}
        file = scratch / f"{case[SIDE]}.tif"
        mapped = ["signal=large", f"signal.path='{file}'"]
        run = watched(
            script,
            *([f"signal.size={value}"] if knob == "in memory" else mapped),
            "signal.holdout=false",
            *(f"{override}={case[name]}" for name, override in KNOBS.items()),
            f"loss={loss}",
            f"trainer.max_steps={steps}",
            f"data.eval_every={steps}",
            *overrides,
        )
        yield {
            "knob": knob,
            "value": value,
            "loss": loss,
            "ms_per_step": 1e3 * median(run["steps"][_SKIPPED - 1 :]),
            "peak_memory_mb": run["peak_memory_mb"],
            "anonymous_mb": run["anonymous_mb"],
            "parameters": run["parameters"],
        }


def write_picture(path: Path, side: int) -> None:
    """A grey picture of side x side pixels, in tiles that are not compressed: waves of all lengths, and noise.

    No more than a tile is held at a time.
    """
    numbers = np.random.default_rng(0)

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, side, _TILE):
            for left in range(0, side, _TILE):
                y, x = np.ogrid[top : top + _TILE, left : left + _TILE]
                waves = np.sin(7 * x / side) * np.cos(9 * y / side) + 0.5 * np.sin((x + 0.5 * y) / 5)
                noise = 10 * numbers.standard_normal((_TILE, _TILE), np.float32)
                yield (127.5 + 70 * waves + noise).clip(0, 255).astype(np.uint8)

    tifffile.imwrite(path, tiles(), shape=(side, side), dtype=np.uint8, tile=(_TILE, _TILE), photometric="minisblack")


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    return markdown.columns(
        found,
        ("", "knob", ""),
        ("", "value", ",d"),
        ("loss", "loss", ""),
        ("ms/step", "ms_per_step", ",.1f"),
        ("peak memory/MiB", "peak_memory_mb", ",.0f"),
        ("without mapped files/MiB", "anonymous_mb", ",.0f"),
        ("parameters", "parameters", ",d"),
    )


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """A PNG: time per step above, peak memory below, a column per knob, a line per loss."""
    knobs = [knob for knob in (SIDE, *KNOBS) if any(row["knob"] == knob for row in found)]
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8, "axes.linewidth": 0.5}):
        drawing = Figure(figsize=(2.6 * len(knobs), 4.6), dpi=150, facecolor="white", layout="constrained")
        canvas = FigureCanvasAgg(drawing)
        panels = drawing.subplots(2, len(knobs), sharey="row", sharex="col", squeeze=False)
        for column, knob in zip(panels.T, knobs, strict=True):
            for loss in dict.fromkeys(row["loss"] for row in found):
                here = [row for row in found if (row["knob"], row["loss"]) == (knob, loss)]
                for axes, part in zip(column, ("ms_per_step", "peak_memory_mb"), strict=True):
                    axes.semilogx([row["value"] for row in here], [row[part] for row in here], "o-", label=loss)
            values = [row["value"] for row in found if row["knob"] == knob]
            column[1].set_xticks(sorted(set(values)), [f"{value:,}" for value in sorted(set(values))])
            column[1].minorticks_off()
            column[1].set_xlabel(knob)
        panels[0, 0].set(ylabel="ms per step", yscale="log")
        panels[1, 0].set(ylabel="peak memory / MiB", ylim=(0, 1.1 * max(row["peak_memory_mb"] for row in found)))
        panels[0, 0].legend(fontsize=8, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.print_png(path)
