"""The numbers of a page of runs: which there are, what they are called, and which way they are better.

A run says in its metrics.json what its scores are (`shown`) and which one it is judged by (`monitor`). Runs of older
versions say neither: `SCORES` has theirs. `COSTS` are the same for all runs. Any other number is called by its key.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sinefield.report.parsing import line
from sinefield.report.runs import RunFolder


class Score(NamedTuple):
    """A number in metrics.json and history.csv."""

    key: str
    name: str
    unit: str = ""
    digits: int | None = None  # behind the point; -1 for exponent notation, None for as many as it takes
    direction: str = ""  # "max" or "min", whichever is better; "" for neither


SCORES = (
    Score("psnr_off_grid", "PSNR between", "dB", 2, "max"),
    Score("psnr", "PSNR on samples", "dB", 2, "max"),
    Score("ssim", "SSIM", "", 4, "max"),
)
COSTS = (
    Score("loss", "loss", "", None, "min"),
    Score("steps_per_second", "steps/s", "", 1, "max"),
    Score("fit_seconds", "seconds", "", 1, "min"),
    Score("steps", "steps", "", 0),
    Score("parameters", "parameters", "", 0, "min"),
    Score("peak_memory_mb", "peak memory", "MB", 0, "min"),
)
CHOSEN = ("seed",)  # numbers in metrics.json that were chosen, not measured


def titled(name: str) -> str:
    """A key or the stem of a file in words.

    >>> titled("gradient_field")
    'gradient field'
    """
    return name.replace("_", " ").strip()


def numbers(metrics: dict[str, Any]) -> dict[str, int | float]:
    """The finite numbers in metrics.json, and `K_gain` = K - K_spline for each K that has a K_spline beside it.

    >>> numbers({"snr": 30.0, "snr_spline": 28.5, "device": "cpu", "converged": True, "mse": None})
    {'snr': 30.0, 'snr_spline': 28.5, 'snr_gain': 1.5}
    """
    numeric = {key: value for key, value in metrics.items() if type(value) in (int, float)}
    found = {key: value for key, value in numeric.items() if abs(value) < 1e300}  # nor NaN
    gains = {f"{key}_gain": found[key] - found[f"{key}_spline"] for key in found if f"{key}_spline" in found}
    return found | {key: gain for key, gain in gains.items() if key not in found}


def scores(runs: Sequence[RunFolder]) -> tuple[list[Score], list[str]]:
    """The numbers that any of the runs has, and the keys of those that runs are judged by, the most common first.

    First come those that runs say they show, in the order of the runs. A run that does not say what it is judged by is
    judged by its first number that has a direction. A run whose metrics.json describes them wrongly is damaged.
    """
    described = [_described(run) for run in runs]
    values = [numbers(run.metrics) for run in runs]
    found: dict[str, Score] = {}
    for score in (*(score for own, _ in described for score in own), *SCORES):
        found.setdefault(score.key, score)
    for score in list(found.values()):
        gain, spline = f"{score.key}_gain", f"{score.key}_spline"
        found.setdefault(gain, score._replace(key=gain, name=f"{score.name}, over the spline"))
        found.setdefault(spline, score._replace(key=spline, name=f"{score.name}, of the spline", direction=""))
    # A key with a slash is a term of the loss, which only histories have: it is drawn as a curve.
    others = [Score(key, titled(key)) for own in values for key in own if key not in CHOSEN and "/" not in key]
    for score in (*COSTS, *others):
        found.setdefault(score.key, score)
    present = [score for score in found.values() if any(score.key in own for own in values)] or [COSTS[0]]
    votes = Counter[str]()
    for (_, monitor), own in zip(described, values, strict=True):
        rated = [monitor, *(score.key for score in present if score.direction)]
        votes.update([key for key in rated if key in own][:1])
    return present, [key for key, _ in votes.most_common()] or [present[0].key]


def _described(run: RunFolder) -> tuple[list[Score], str]:
    """What a run says it shows, and the key of what it is judged by; "" where it does not say."""
    monitor, shown = run.metrics.get("monitor"), run.metrics.get("shown") or []
    try:
        found = [_score(entry["key"], entry) for entry in shown]
        judged = [_score(monitor["name"], {**monitor, "name": titled(monitor["name"])})] if monitor else []
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        run.damage(f"metrics.json does not describe its scores as it should: {line(error)}")
        return [], ""
    return [*found, *judged], judged[0].key if judged else ""


def _score(key: Any, about: dict[str, Any]) -> Score:
    digits, direction = about.get("digits"), about.get("direction", "")
    if not isinstance(key, str) or digits not in (None, *range(-1, 21)) or direction not in ("max", "min", ""):
        raise ValueError(f"{key!r}: {about!r}")
    name = str(about.get("name") or "").strip() or titled(key)
    return Score(key, name[:80], str(about.get("unit") or "")[:20], digits, direction)
