"""What a step costs as the work grows: time and memory against the picture, the network and the points per step.

Every row is a run of train.py in a process of its own, from its start to its pictures, on a large picture in a file.
The first is the default network on a small picture in memory, which the others are to be compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tifffile
from tqdm import tqdm

from sinefield.benchmarks.runs import watched
from sinefield.errors import require
from sinefield.report.figures import chart

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
    overrides: Sequence[str],
    steps: int,
) -> Iterator[dict[str, Any]]:
    """One row per loss, knob and value in `grown`, the other knobs at their `DEFAULT`; medians over a run's steps."""
    require(steps > _SKIPPED, f"steps must be at least {_SKIPPED + 1}, since the first {_SKIPPED} do not count")
    for side in {DEFAULT[SIDE], *grown[SIDE]}:
        write_picture(scratch / f"{side}.tif", side)
    cases = [("in memory", 256)] + [(knob, value) for knob, values in grown.items() for value in values]
    for (knob, value), loss in tqdm([(case, loss) for case in cases for loss in losses], leave=False):
        case = DEFAULT | {knob: value}
        large = ["signal=large", f"signal.path='{scratch / str(case[SIDE])}.tif'"]
        run = watched(
            script,
            *([f"signal.size={value}"] if knob == "in memory" else large),
            "signal.holdout=false",
            *(f"{override}={case[name]}" for name, override in KNOBS.items()),
            f"loss={loss}",
            f"trainer.max_steps={steps}",
            f"data.eval_every={steps}",
            *overrides,
        )
        seconds = median(run["steps"][_SKIPPED - 1 :])
        measured = {name: run[name] for name in ("peak_memory_mb", "anonymous_mb", "parameters")}
        yield {"knob": knob, "value": value, "loss": loss, "ms_per_step": 1e3 * seconds, **measured}


def write_picture(path: Path, side: int) -> None:
    """Grey noise of side × side pixels, written tile by tile, not compressed."""
    numbers, count = np.random.default_rng(0), (-(-side // _TILE)) ** 2
    tiles = (numbers.integers(256, size=(_TILE, _TILE), dtype=np.uint8) for _ in range(count))
    tifffile.imwrite(path, tiles, shape=(side, side), dtype=np.uint8, tile=(_TILE, _TILE), photometric="minisblack")


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """A PNG: time per step above, peak memory below, a column per knob, a line per loss."""
    knobs = [knob for knob in (SIDE, *KNOBS) if any(row["knob"] == knob for row in found)]
    with chart(path, 2.6 * len(knobs), 4.6) as drawing:
        panels = drawing.subplots(2, len(knobs), sharey="row", sharex="col", squeeze=False)
        for column, knob in zip(panels.T, knobs, strict=True):
            for loss in dict.fromkeys(row["loss"] for row in found):
                here = [row for row in found if (row["knob"], row["loss"]) == (knob, loss)]
                for axes, part in zip(column, ("ms_per_step", "peak_memory_mb"), strict=True):
                    axes.semilogx([row["value"] for row in here], [row[part] for row in here], "o-", label=loss)
            values = sorted({row["value"] for row in found if row["knob"] == knob})
            column[1].set_xticks(values, [f"{value:,}" for value in values])
            column[1].minorticks_off()
            column[1].set_xlabel(knob)
        panels[0, 0].set(ylabel="ms per step", yscale="log")
        panels[1, 0].set(ylabel="peak memory / MiB", ylim=(0, 1.1 * max(row["peak_memory_mb"] for row in found)))
        panels[0, 0].legend(fontsize=8, frameon=False)
