"""Who is best, by how much: a table of methods, and their mean ranks with the critical difference.

A method's score on a picture is the mean over its seeds, and pictures are the independent draws: an interval is
``m ± t(0.975, n - 1) s / sqrt(n)`` over the n pictures' scores. Ranks are over the pictures that all methods have
finished. Two mean ranks of k methods over n pictures differ at the 5 % level by more than

    CD = q sqrt(k (k + 1) / (6 n)),      q = the studentized range's 0.95 quantile for k groups, over sqrt(2)

(Nemenyi), where Friedman's test finds that there are differences at all. Source: Demšar, Statistical Comparisons of
Classifiers over Multiple Data Sets, JMLR 7, 2006, secs. 3.2.2 and 3.2.4.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import NamedTuple

import numpy as np
from scipy import stats

from sinefield.errors import require
from sinefield.report import markdown
from sinefield.report.effect import Run, by_picture
from sinefield.report.figures import chart

LEVEL = 0.05


class Ranks(NamedTuple):
    """Mean ranks, 1 is best, over pictures; Friedman's p and the critical difference, None for fewer than two."""

    mean: dict[str, float]
    pictures: list[str]
    p: float | None
    critical: float | None


def method(case: str) -> str:
    """The name of a method in the overrides compared.

    >>> method("experiment=method/siren tuned.lr_factor=3")
    'siren tuned.lr_factor=3'
    """
    return case.removeprefix("experiment=").removeprefix("method/")


def tuned(runs: Sequence[Run], picture: str) -> list[Run]:
    """For each first override compared its best case on one picture, judged on the others.

    Raises:
        UserError: the picture is not among them, or nothing else is.
    """
    known = list(dict.fromkeys(run.picture for run in runs))
    require(picture in known and len(known) > 1, f"tuned_on={picture} must be one of several: {', '.join(known)}")
    best: dict[str, tuple[float, str]] = {}
    for case in dict.fromkeys(run.case for run in runs):
        found = [run.psnr for run in runs if (run.case, run.picture) == (case, picture)]
        if found:
            score = (fmean(found), case)
            name = case.partition(" ")[0]
            best[name] = max(best.get(name, score), score)
    chosen = {case for _, case in best.values()}
    return [run for run in runs if run.picture != picture and run.case in chosen]


def interval(values: Sequence[float], sign: str = "") -> str:
    """Mean and half the 95 % interval of independent values.

    >>> interval([1.0, 2.0, 3.0]), interval([1.0], "+")
    ('2.00 ± 2.48', '+1.00')
    """
    mean, n = fmean(values), len(values)
    half = f" ± {stats.t.ppf(1 - LEVEL / 2, n - 1) * stdev(values) / n**0.5:.2f}" if n > 1 else ""
    return f"{mean:{sign}.2f}{half}"


def ranks(runs: Sequence[Run]) -> Ranks:
    """Of every case by PSNR between the samples, over the pictures that all have finished.

    Raises:
        UserError: a case has runs of several lengths.
    """
    lengths: dict[str, int] = {}
    for run in runs:
        several = (
            f"{method(run.case)} has runs of {lengths.get(run.case)} and {run.steps} steps; compare with baseline=…"
        )
        require(lengths.setdefault(run.case, run.steps) == run.steps, several)
    scores = {case: _scores(runs, case, "psnr") for case in lengths}
    pictures = dict.fromkeys(run.picture for run in runs)
    shared = [picture for picture in pictures if all(picture in found for found in scores.values())]
    if len(scores) < 2 or not shared:
        return Ranks({}, shared, None, None)
    values = np.array([[-found[picture] for found in scores.values()] for picture in shared])
    mean = dict(zip(scores, stats.rankdata(values, axis=1).mean(axis=0).tolist(), strict=True))
    k, n = len(scores), len(shared)
    if n < 2:
        return Ranks(mean, shared, None, None)
    p = float(stats.friedmanchisquare(*values.T).pvalue) if k > 2 else None
    quantile = float(stats.studentized_range.ppf(1 - LEVEL, k, np.inf)) / 2**0.5
    return Ranks(mean, shared, p, quantile * (k * (k + 1) / (6 * n)) ** 0.5)


def table(runs: Sequence[Run]) -> str:
    """A row per method in Markdown, best first, and a line on the ranks."""
    ranked, rows = ranks(runs), []
    for case in dict.fromkeys(run.case for run in runs):
        here = [run for run in runs if run.case == case]
        between, gains = (_scores(runs, case, name) for name in ("psnr", "gain"))
        on = _scores(runs, case, "on") if all(run.on is not None for run in here) else {}
        seeds = [stdev(values) for values in by_picture(here, [run.psnr for run in here]).values() if len(values) > 1]
        rows.append(
            {
                "method": method(case),
                "on samples / dB": interval(list(on.values())) if on else "-",
                "between / dB": interval(list(between.values())),
                "less the spline / dB": interval(list(gains.values()), "+"),
                "sd of seeds": f"{fmean(seeds):.2f}" if seeds else "-",
                "mean rank": f"{ranked.mean[case]:.1f}" if case in ranked.mean else "-",
                "seconds": f"{median(run.seconds for run in here):.1f}",
                "steps": here[0].steps,
                "parameters": here[0].parameters,
                "runs": len(here),
            }
        )
    rows.sort(key=lambda row: -float(str(row["between / dB"]).partition(" ")[0]))
    return "\n\n".join([markdown.table(rows), summary(ranked)])


def summary(ranked: Ranks) -> str:
    """What the ranks rest on, in words."""
    line = f"Ranks over {len(ranked.pictures)} pictures ({', '.join(ranked.pictures) or 'none that all finished'})"
    if ranked.critical is None:
        return f"{line}: too few for a test."
    found = "" if ranked.p is None else f"Friedman's p is {ranked.p:.2g}; "
    return f"{line}: {found}mean ranks closer than {ranked.critical:.1f} are not told apart at the 5 % level (Nemenyi)."


def _scores(runs: Sequence[Run], case: str, name: str) -> dict[str, float]:
    """By picture, the mean over seeds of a run's `psnr`, `on`, or `gain` over the spline."""
    here = [run for run in runs if run.case == case]
    values = [run.psnr - run.spline if name == "gain" else getattr(run, name) for run in here]
    return {picture: fmean(found) for picture, found in by_picture(here, values).items()}


def cliques(ordered: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """The longest stretches of sorted mean ranks that lie within the critical difference, as first and last place.

    >>> cliques([1.0, 2.0, 2.5, 5.0], 1.6)
    [(0, 2)]
    """
    lasts = [max(j for j, place in enumerate(ordered) if place - first < critical) for first in ordered]
    ends = list(enumerate(lasts))
    return [(i, j) for n, (i, j) in enumerate(ends) if j > i and (n == 0 or ends[n - 1][1] < j)]


def figure(runs: Sequence[Run], path: str | Path) -> None:
    """The critical-difference plot: mean ranks on a line, bars over those that are not told apart."""
    ranked = ranks(runs)
    require(bool(ranked.mean), "ranks need a picture that two methods or more have finished")
    names, places = zip(*sorted(ranked.mean.items(), key=lambda item: item[1]), strict=True)
    groups = cliques(places, ranked.critical) if ranked.critical is not None else []
    k, top = len(names), 0.5 * len(groups) + 1
    with chart(Path(path), 7.0, 0.9 + 0.22 * (k / 2 + top)) as drawing:
        axes = drawing.subplots()
        axes.axis("off")
        axes.plot([1, k], [0, 0], color="black", linewidth=1)
        for tick in range(1, k + 1):
            axes.plot([tick, tick], [0, 0.15], color="black", linewidth=0.8)
            axes.text(tick, 0.3, str(tick), ha="center", va="bottom", fontsize=7)
        for i, (first, last) in enumerate(groups):
            axes.plot([places[first] - 0.06, places[last] + 0.06], [-0.35 - 0.4 * i] * 2, color="#0072b2", linewidth=3)
        for i, (name, place) in enumerate(zip(names, places, strict=True)):
            left = i < (k + 1) // 2
            depth = -0.8 * (1 + (i if left else k - 1 - i)) - 0.4 * len(groups)
            edge = 0.6 if left else k + 0.4
            axes.plot([place, place, edge], [0, depth, depth], color="0.4", linewidth=0.7)
            text = f"{method(name)}  {place:.1f}"
            axes.text(
                edge, depth, f" {text} ", ha="right" if left else "left", va="center", fontsize=8, parse_math=False
            )
        if ranked.critical is not None:
            axes.plot([1, min(k, 1 + ranked.critical)], [1.4, 1.4], color="black", linewidth=1.5)
            axes.text(1, 1.55, f"critical difference {ranked.critical:.1f}", ha="left", va="bottom", fontsize=8)
        axes.set_xlim(1 - k * 0.4, k + k * 0.4)
