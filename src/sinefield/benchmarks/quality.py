"""How soon a picture is fitted: seconds and steps to given PSNRs, and the PSNR between the samples at that moment.

The default recipe is a run of train.py, read off its history; the paper's is a loop as in every tutorial: all samples
at every step, Adam at 1e-4, one batch, a plain sequence of layers. Both see the same samples of the same picture. They
take turns on the machine: the paper's is interrupted for every run of the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sinefield.benchmarks.paths import sequence
from sinefield.evaluation.metrics import score
from sinefield.fields.mlp import Siren
from sinefield.report import markdown

if TYPE_CHECKING:  # handed in
    from sinefield.signals.base import Signal

THRESHOLDS = (30.0, 35.0, 40.0, 45.0, 50.0)  # dB on the samples
History = list[dict[str, Any]]  # rows with step, seconds, psnr, psnr_off_grid


def rows(
    picture: str,
    signal: Signal,
    default: Callable[[int], History],
    budgets: Sequence[int],
    bound: float,
    repeats: int = 3,
    thresholds: Sequence[float] = THRESHOLDS,
    every: int = 25,
) -> list[dict[str, Any]]:
    """One row per recipe and threshold; seconds and steps are None where it was not reached.

    Args:
        picture: its name in the rows.
        signal: the picture.
        default: fits the picture in so many steps by the default recipe; its history.
        budgets: steps to try: how soon a PSNR is reached depends on the schedule, which ends where the run ends.
        bound: seconds after which the paper's recipe is stopped.
        repeats: runs of the default per budget, of whose seconds the median counts.
        thresholds: dB; the paper's recipe is stopped at the highest.
        every: steps between evaluations of the paper's recipe.
    """
    fits: dict[int, list[History]] = {steps: [] for steps in budgets}
    turns = [steps for _ in range(repeats) for steps in budgets]
    slow: History = []
    for row in paper(signal, every):
        slow.append(row)
        while turns and row["seconds"] >= bound * (1 - len(turns) / (repeats * len(budgets))):
            steps = turns.pop(0)
            fits[steps].append(default(steps))
        if row["seconds"] > bound or row["psnr"] >= max(thresholds):
            break
    for steps in turns:
        fits[steps].append(default(steps))
    found = []
    for threshold in thresholds:
        reached = [hit for histories in fits.values() if (hit := _median_hit(histories, threshold)) is not None]
        soonest = min(reached, key=lambda row: row["seconds"], default=None)
        for recipe, hit, spent in (
            ("default", soonest, max(h[-1]["seconds"] for histories in fits.values() for h in histories)),
            ("paper", _hit(slow, threshold), slow[-1]["seconds"]),
        ):
            found.append(
                {
                    "picture": picture,
                    "recipe": recipe,
                    "threshold_db": threshold,
                    "seconds": None if hit is None else hit["seconds"],
                    "steps": None if hit is None else hit["step"],
                    "psnr_off_grid": None if hit is None else hit["psnr_off_grid"],
                    "budget": None if hit is None else hit.get("budget"),
                    "stopped_after": spent,
                    "psnr_end": slow[-1]["psnr"] if recipe == "paper" else None,
                }
            )
    return found


def _hit(history: History, threshold: float) -> dict[str, Any] | None:
    """The first row at or above the threshold."""
    return next((row for row in history if row["psnr"] >= threshold), None)


def _median_hit(histories: list[History], threshold: float) -> dict[str, Any] | None:
    """The first row above the threshold, with the median of the seconds; None unless every run got there."""
    hits = [hit for history in histories if (hit := _hit(history, threshold)) is not None]
    if len(hits) < len(histories):
        return None
    return hits[0] | {"seconds": median(hit["seconds"] for hit in hits), "budget": histories[0][-1]["step"]}


def paper(signal: Signal, every: int, lr: float = 1e-4) -> Iterator[dict[str, Any]]:
    """The paper's recipe by nested autograd on a plain sequence of layers: a row per `every` steps, for ever.

    Args:
        signal: the picture.
        every: steps between rows; the seconds are those of the steps alone.
        lr: of Adam, constant.
    """
    torch.manual_seed(0)
    net: nn.Module = sequence(Siren(signal.dims, signal.channels))
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    x, target = signal.grid(), signal.samples().value
    upsampling = 1 if signal.held_out_grid() is None else 2
    fine, truth = signal.grid(upsampling=upsampling), signal.held_out_grid()
    truth = target.reshape(*signal.shape, -1) if truth is None else truth
    step, seconds = 0, 0.0
    while True:
        start = perf_counter()
        for _ in range(every):
            optimizer.zero_grad()
            (net(x) - target).square().mean().backward()
            optimizer.step()
        seconds, step = seconds + perf_counter() - start, step + every
        with torch.no_grad():
            values = torch.cat([net(part) for part in fine.split(65_536)]).reshape(truth.shape)
        yield {"step": step, "seconds": seconds} | score(values, truth, upsampling, torch.zeros_like)


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown, a line per picture and threshold."""
    cells = []
    for own, paper in zip(found[::2], found[1::2], strict=True):
        least = paper["seconds"] or paper["stopped_after"]
        ratio = "-" if own["seconds"] is None else f"{'' if paper['seconds'] else '> '}{least / own['seconds']:.0f}"
        cells.append((Path(own["picture"]).name, f"{own['threshold_db']:.0f} dB", *_cells(own), *_cells(paper), ratio))
    heads = ["picture", "PSNR", "default", "steps", "between", "paper's", "steps", "between", "times"]
    return markdown.table(heads, cells)


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    if row["seconds"] is None:
        end = "" if row["psnr_end"] is None else f" ({row['psnr_end']:.1f} dB)"
        return f"> {row['stopped_after']:.1f} s{end}", "-", "-"
    between = math.nan if row["psnr_off_grid"] is None else row["psnr_off_grid"]
    budget = "" if row["budget"] is None else f" of {row['budget']:.0f}"
    return f"{row['seconds']:.1f} s", f"{row['steps']:.0f}{budget}", f"{between:.2f} dB"
