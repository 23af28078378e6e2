"""How soon a picture is fitted: seconds and steps to given PSNRs, and the PSNR between the samples at that moment.

The default recipe is a run of train.py, read off its history; the paper's is a loop as in every tutorial: all samples
at every step, Adam at 1e-4, a plain sequence of layers. Both see the same samples. They take turns on the machine: the
paper's is interrupted for every run of the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from sinefield.benchmarks.steps import sequence
from sinefield.evaluation.metrics import score
from sinefield.fields.mlp import Siren

if TYPE_CHECKING:  # handed in
    from sinefield.signals.base import Signal

History = list[dict[str, Any]]  # rows with step, seconds, psnr, psnr_off_grid


SHOWN = ("step", "psnr_off_grid")


def rows(
    picture: str,
    signal: Signal,
    default: Callable[[int], History],
    budgets: Sequence[int],
    bound: float,
    repeats: int,
    thresholds: Sequence[float],
) -> Iterator[dict[str, Any]]:
    """One row per threshold (dB): seconds, step and PSNR between of the default and, named paper_, of the paper's.

    How soon a PSNR is reached depends on the schedule, which ends where the run ends: the default recipe is tried with
    several budgets of steps, repeatedly, and the soonest by the median of its seconds counts. The paper's is stopped
    after `bound` seconds, or at the highest threshold.
    """
    fits: dict[int, list[History]] = {steps: [] for steps in budgets}
    turns = [steps for _ in range(repeats) for steps in budgets]
    slow: History = []
    for row in paper(signal):
        slow.append(row)
        done = row["seconds"] > bound or row["psnr"] >= max(thresholds)
        while turns and (done or row["seconds"] >= bound * (1 - len(turns) / (repeats * len(budgets)))):
            steps = turns.pop(0)
            fits[steps].append(default(steps))
        if done:
            break
    for threshold in thresholds:
        hits = [hit for histories in fits.values() if (hit := _median_hit(histories, threshold))]
        own, rival = min(hits, key=lambda hit: hit["seconds"], default={}), _median_hit([slow], threshold)
        least = rival.get("seconds", slow[-1]["seconds"])  # that the paper's takes
        yield {
            "picture": picture,
            "threshold_db": threshold,
            **own,
            **{f"paper_{name}": value for name, value in rival.items()},
            "paper_stopped_after": slow[-1]["seconds"],
            "paper_psnr_end": slow[-1]["psnr"],
            "times_sooner": least / own["seconds"] if own else None,
        }


def _median_hit(histories: list[History], threshold: float) -> dict[str, Any]:
    """The first row at or above the threshold, with the median of the seconds; {} unless every run got there."""
    hits = [[row for row in history if row["psnr"] >= threshold][:1] for history in histories]
    if [] in hits:
        return {}
    ((first,), *_), seconds = hits, median(row["seconds"] for (row,) in hits)
    return {"seconds": seconds, "of_steps": histories[0][-1]["step"]} | {key: first[key] for key in SHOWN}


def paper(signal: Signal, every: int = 25) -> Iterator[dict[str, Any]]:
    """The paper's recipe by nested autograd on a plain sequence of layers: a row per `every` steps, for ever.

    The seconds are those of the steps alone.
    """
    torch.manual_seed(0)
    net = sequence(Siren(signal.dims, signal.channels))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    x, target, truth = signal.grid(), signal.samples().value, signal.held_out_grid()
    upsampling = 1 if truth is None else 2
    fine, truth = signal.grid(upsampling=upsampling), target.reshape(*signal.shape, -1) if truth is None else truth
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
