"""What surrounds an optimiser step: the start of the program, Lightning's loop, and the evaluations."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tqdm import trange

from sinefield.benchmarks.stopwatch import watched
from sinefield.report import markdown


def rows(script: Path, overrides: list[str], steps: int = 200, repeats: int = 3) -> list[dict[str, Any]]:
    """One row per quantity: seconds, the CPU's, those of a bare loop, and how many more than those, relatively.

    Args:
        script: train.py.
        overrides: of its configuration.
        steps: of the run whose every step is taken twice, in turn by Lightning and without it.
        repeats: of the start, of which the median counts.
    """
    helped = [_helped(script) for _ in trange(repeats, desc="--help", leave=False)]
    run = watched(script, *overrides, f"trainer.max_steps={steps}", bare=True)
    short = [*overrides, "trainer.max_steps=1"]
    again = [watched(script, *short) for _ in trange(repeats - 1, desc="first step", leave=False)]
    first = [started["first_step"] for started in (run, *again)]
    step, bare = median(run["steps"]), median(run["bare_steps"][1:])
    found = [
        {"what": "train.py --help", **_medians(helped)},
        {"what": "to the end of the first step", **_medians(first)},
        _against(bare, step, "step"),
    ]
    if run["evaluations"]:  # each of them with the step after it
        every, evaluation, alone = run["every"], median(run["evaluations"]) - step, median(run["bare_evaluations"])
        fit, loop = every * step + evaluation, every * bare + alone
        found += [
            _against(alone, evaluation, "evaluation, checkpoint and history"),
            _against(loop, fit, f"{every} steps and an evaluation"),
        ]
    return found


def _helped(script: Path) -> dict[str, float]:
    """Seconds of the help text, and the CPU's."""

    def cpu() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    start, before = perf_counter(), cpu()
    subprocess.run([sys.executable, str(script), "--help"], capture_output=True, check=True)
    return {"seconds": perf_counter() - start, "cpu_seconds": cpu() - before}


def _against(bare: float, seconds: float, what: str) -> dict[str, Any]:
    return {"what": what, "seconds": seconds, "bare_seconds": bare, "overhead": seconds / bare - 1}


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in found) for name in found[0]}


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    form: dict[str, Callable[[float], str]] = {
        "seconds": "{:.3f} s".format,
        "cpu_seconds": "{:.2f} s".format,
        "bare_seconds": "{:.3f} s".format,
        "overhead": "{:+.1%}".format,
    }
    cells = ([row["what"], *(show(row[name]) if name in row else "" for name, show in form.items())] for row in found)
    return markdown.table(["", "time", "CPU time", "bare loop", "overhead"], cells)
