"""What an optimiser step costs: time, rate and memory of every path, interleaved in one process."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

from sinefield.benchmarks.paths import CASES, PATHS, PRECISIONS, Problem, Step, available, clock, gemm_rate
from sinefield.report import markdown
from sinefield.training.environment import Usage, resident

BASELINE = "nested_autograd"


def rows(
    problem: Problem,
    cases: tuple[str, ...] = tuple(CASES),
    precisions: tuple[str, ...] = tuple(PRECISIONS),
    channels: tuple[int, ...] = (1, 3),
    repeats: int = 5,
) -> Iterator[dict[str, Any]]:
    """One row per case, precision, channels and path; medians of repeats in which all paths take turns.

    A row of bf16 has (b)'s float32 step beside it, which it is compared with.

    Args:
        problem: points, network and device.
        repeats: steps per path, after one that is not counted.
    """
    for case, count in product(cases, channels):
        for precision in precisions:
            here = replace(problem, case=case, channels=count, precision=precision)
            plain = replace(here, precision="fp32")
            of = {name: here for name in PATHS if available(name, here)}
            of |= {BASELINE: plain}
            steps = {name: PATHS[name](its) for name, its in of.items()}
            seconds: dict[str, list[float]] = {name: [] for name in of}
            rates, device = [], torch.device(problem.device)
            for turn in tqdm(range(repeats + 1), desc=f"{case}, {count} channels, {precision}", leave=False):
                rates.append(gemm_rate(here))
                for name, step in steps.items():
                    spent = clock(step, device)
                    if turn:
                        seconds[name].append(spent)
            memory = {name: peak_memory(step, device) for name, step in steps.items()}
            rate, baseline = median(rates[1:]), median(seconds[BASELINE])
            for name, its in of.items():
                spent = median(seconds[name])
                yield {
                    "case": case,
                    "precision": its.precision,
                    "channels": count,
                    "path": name,
                    "ms_per_step": 1e3 * spent,
                    "points_per_second": its.points / spent,
                    "gflops": its.gflop / spent,
                    "gemm_gflops": rate,
                    "gemm_fraction": its.gflop / spent / rate,
                    "peak_memory_mb": memory[name],
                    "ratio": baseline / spent,
                }


def peak_memory(step: Step, device: torch.device) -> float:
    """MiB that a step takes at its peak beyond what the process holds before it."""
    gc.collect()
    with suppress(AttributeError, OSError):  # glibc: what was freed before goes back to the system, and counts again
        ctypes.CDLL(None).malloc_trim(0)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else resident()
    usage = Usage()
    step()
    return max(0.0, usage.measured(device)["peak_memory_mb"] - before / 2**20)


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    return markdown.columns(
        found,
        ("case", "case", ""),
        ("precision", "precision", ""),
        ("channels", "channels", ""),
        ("path", "path", ""),
        ("ms/step", "ms_per_step", ",.0f"),
        ("points/s", "points_per_second", ",.0f"),
        ("GFLOP/s", "gflops", ".0f"),
        ("of GEMM", "gemm_fraction", ".2f"),
        ("memory/MiB", "peak_memory_mb", ",.0f"),
        ("times (b)", "ratio", ".1f"),
    )
