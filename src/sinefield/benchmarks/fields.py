"""What a step of many fields at once costs, against the same steps one field after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

from sinefield.benchmarks.paths import Problem, clock, default
from sinefield.report import markdown


def rows(
    problem: Problem, cases: tuple[str, ...] = ("value",), counts: tuple[int, ...] = (1, 4, 16, 64), repeats: int = 5
) -> Iterator[dict[str, Any]]:
    """One row per case and count; medians of repeats in which the stack and a field alone, K times, take turns.

    Args:
        problem: points, network and device.
        cases: value, gradient, laplacian, sobolev.
        counts: K, fields at once.
        repeats: turns, after one that is not counted.
    """
    device = torch.device(problem.device)
    for case, count in product(cases, counts):
        here = replace(problem, case=case)
        stack, one = default(here, count), default(here)
        seconds = []
        for _ in tqdm(range(repeats + 1), desc=f"{case}, {count} fields", leave=False):
            seconds.append((clock(stack, device), clock(lambda: [one() for _ in range(count)], device)))  # noqa: B023
        at_once, in_turn = (1e3 * median(column) for column in zip(*seconds[1:], strict=True))
        yield {
            "case": case,
            "fields": count,
            "points": problem.points,
            "ms_per_step": at_once,
            "ms_one_after_the_other": in_turn,
            "ratio": at_once / in_turn,
        }


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    return markdown.columns(
        found,
        ("case", "case", ""),
        ("fields", "fields", ""),
        ("ms/step", "ms_per_step", ",.1f"),
        ("one after the other", "ms_one_after_the_other", ",.1f"),
        ("ratio", "ratio", ".3f"),
    )
