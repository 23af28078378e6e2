"""What a step of many fields at once costs, against the same steps one field after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from sinefield.benchmarks.paths import CASES, Problem, Step, clock
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.stack import stack_fields
from sinefield.report import markdown
from sinefield.training.microbatches import Microbatches


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
        stack, one = together(here, count), together(here, None)
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


def together(problem: Problem, count: int | None) -> Step:
    """A step of Adam of a stack of `count` fields at the same points; of a field that is no stack where None."""
    samples, loss = problem.samples(), CASES[problem.case]()
    field: CoordinateMLP = problem.field()
    mean_squares = {name: torch.ones((), device=problem.device) for name in loss.terms}
    if count is not None:
        field = stack_fields([field] * count)
        samples = samples._replace(known=samples.known.map(lambda part: torch.cat([part] * count, dim=1)))
        mean_squares = {name: part.expand(count) for name, part in mean_squares.items()}
    optimizer, microbatches = torch.optim.Adam(field.parameters(), lr=1e-4, fused=True), Microbatches(field)

    def step() -> Tensor:
        optimizer.zero_grad()
        with microbatches.thread_pool(samples.x.device):
            terms = microbatches.gradient(loss, [samples], mean_squares)
        optimizer.step()
        return torch.stack(list(terms.values())).sum()

    return step


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    cells = (
        (
            row["case"],
            str(row["fields"]),
            f"{row['ms_per_step']:,.1f}",
            f"{row['ms_one_after_the_other']:,.1f}",
            f"{row['ratio']:.3f}",
        )
        for row in found
    )
    return markdown.table(["case", "fields", "ms/step", "one after the other", "ratio"], cells)
