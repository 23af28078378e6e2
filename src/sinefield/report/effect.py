"""What a choice does to the picture between the samples: paired differences to a baseline over pictures and seeds.

    at equal steps   P(case, steps) - P(baseline, steps)
    at equal time    P(case, t) - P(baseline, t), interpolated in log t between the baseline's runs of several lengths
    to the spline    P(case) - P(spline)

P is `psnr_off_grid` in dB, t the seconds spent in optimizer steps, the median over all runs of a case and length.
Every difference is taken within one picture and one seed, averaged over seeds, and given as mean and standard deviation
over pictures.
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median, stdev
from typing import NamedTuple

import numpy as np

from sinefield.errors import UserError, require
from sinefield.report import markdown
from sinefield.report.figures import chart
from sinefield.report.knobs import overridden
from sinefield.report.runs import read as parsed

PAIRED = ("signal.path", "seed")  # what a difference is taken within
LENGTH = "trainer.max_steps"
COSTS, SCORES = ("steps", "fit_seconds"), ("psnr_off_grid", "psnr_off_grid_spline")  # of metrics.json
COLOURS = ("#000000", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")  # Okabe & Ito 2008
SLACK = 1.1  # the times that are known are extended by this factor at both ends before another counts as outside


class Run(NamedTuple):
    """A finished run: the overrides compared, picture, seed, steps, their seconds; dB between of field and spline.

    `on` is dB on the samples and `parameters` their number, None where metrics.json has none.
    """

    case: str
    picture: str
    seed: str
    steps: int
    seconds: float
    psnr: float
    spline: float
    on: float | None = None
    parameters: int | None = None


def read(folder: str | Path) -> list[Run]:
    """The finished runs in a sweep's folder; UserError: none is there, or one lacks what is compared."""
    folders = [parsed(file.parent) for file in sorted(Path(folder).glob("*/metrics.json"))]
    require(bool(folders), f"{folder} holds no finished runs; give the folder of a sweep")
    for one in folders:
        lacking = [name for name in COSTS if not isinstance(one.metrics.get(name), int | float)]
        for wrong in (*one.problems, *(f"no {name} in its metrics.json" for name in lacking)):
            raise UserError(f"{one.folder} cannot be read: {wrong}; remove it, or run it again")
        scored = all(isinstance(one.metrics.get(name), int | float) for name in SCORES)
        require(scored, f"{one.folder} has no PSNR between its samples; sweep over pictures with signal.holdout=true")
    chosen = [
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in overridden(one).items()}
        for one in folders
    ]
    keys = list(dict.fromkeys(key for options in chosen for key in options if key not in (*PAIRED, LENGTH)))
    compared = [key for key in keys if len({options.get(key) for options in chosen}) > 1]
    return [
        Run(
            " ".join(f"{key}={options.get(key, '-')}" for key in compared),
            options.get("signal.path", "").rpartition(":")[2],
            options.get("seed", ""),
            *(one.metrics[name] for name in (*COSTS, *SCORES)),
            *(one.metrics.get(name) for name in ("psnr", "parameters")),
        )
        for one, options in zip(folders, chosen, strict=True)
    ]


def table(runs: list[Run], baseline: str) -> str:
    """The differences of all cases and lengths in Markdown; UserError where no run is of the baseline."""
    cases = list(dict.fromkeys(run.case for run in runs))
    require(baseline in cases, f"there is no case {baseline!r}; choose the baseline from: {'; '.join(cases)}")
    groups: dict[tuple[str, int], list[Run]] = defaultdict(list)
    base: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for run in runs:
        groups[run.case, run.steps].append(run)
        if run.case == baseline:
            base[run.picture, run.seed][run.steps] = run.psnr
    seconds = {key: median(run.seconds for run in group) for key, group in groups.items()}
    rows = []
    for case, steps in sorted(groups, key=lambda key: (key[0] != baseline, key)):
        here, spent = groups[case, steps], seconds[case, steps]
        rivals = [base[run.picture, run.seed] for run in here]
        timed = [at_time({seconds[baseline, n]: psnr for n, psnr in of.items()}, spent) for of in rivals]
        seeds = [stdev(values) for values in by_picture(here, [run.psnr for run in here]).values() if len(values) > 1]
        rows.append(
            {
                "case": case,
                "steps": steps,
                "seconds": f"{spent:.1f}",
                "PSNR between": f"{fmean(run.psnr for run in here):.2f} dB",
                "at equal steps": spread(here, [of.get(steps) for of in rivals]),
                "at equal time": spread(here, timed),
                "to the spline": spread(here, [run.spline for run in here]),
                "sd of seeds": f"{fmean(seeds):.2f}" if seeds else "-",
            }
        )
    return markdown.table(rows)


def at_time(known: dict[float, float], seconds: float) -> float | None:
    """A PSNR after some seconds, linear in their logarithm between those known; None outside of them.

    >>> at_time({1.0: 20.0, 100.0: 30.0}, 10.0), at_time({1.0: 20.0, 100.0: 30.0}, 1000.0)
    (25.0, None)
    """
    times = sorted(known)
    if not times or not times[0] / SLACK <= seconds <= times[-1] * SLACK:
        return None
    return float(np.interp(np.log(seconds), np.log(times), [known[time] for time in times]))


def spread(runs: list[Run], rivals: list[float | None]) -> str:
    """The mean over pictures of the seeds' mean gain over a rival, with its deviation; "-" where a rival is missing."""
    gains = [run.psnr - rival for run, rival in zip(runs, rivals, strict=True) if rival is not None]
    if len(gains) < len(runs):
        return "-"
    means = [fmean(values) for values in by_picture(runs, gains).values()]
    return f"{fmean(means):+.2f}" + (f" ± {stdev(means):.2f}" if len(means) > 1 else "")


def by_picture(runs: list[Run], values: list[float]) -> dict[str, list[float]]:
    """Values of runs, one for each seed, by picture."""
    found: dict[str, list[float]] = defaultdict(list)
    for run, value in zip(runs, values, strict=True):
        found[run.picture].append(value)
    return dict(found)


def figure(runs: list[Run], path: str | Path) -> None:
    """A panel per length: every run's PSNR between the samples, less the spline's, picture by picture."""
    cases, pictures, lengths = (sorted({getattr(r, name) for r in runs}) for name in ("case", "picture", "steps"))
    with chart(Path(path), 4.6 * len(lengths) + 0.6, 4.2) as drawing:
        panels = drawing.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
        for axes, steps in zip(panels, lengths, strict=True):
            axes.axhline(0, color="0.4", linewidth=0.8, linestyle="--")
            for number, case in enumerate(cases):
                here = [run for run in runs if (run.case, run.steps) == (case, steps)]
                place = [pictures.index(run.picture) + 0.7 * ((number + 0.5) / len(cases) - 0.5) for run in here]
                style = {"color": COLOURS[number % len(COLOURS)], "marker": "os^Dv<>P"[number % 8], "linestyle": ""}
                axes.plot(place, [run.psnr - run.spline for run in here], label=case, markersize=4, alpha=0.8, **style)
            axes.set_xticks(range(len(pictures)), pictures, rotation=20)
            axes.set_title(f"{steps:,} steps", fontsize=9)
            axes.grid(axis="y", linewidth=0.3)
        panels[0].set_ylabel("PSNR between the samples, less the spline's / dB")
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=1 + len(lengths), fontsize=8, frameon=False)
