"""What was chosen in each run: the overrides that differ between runs, with the defaults of those that did not say.

An override is a text as typed, `+field.width=64`. A knob is its key; its value is compared as a number where it is one,
so that `1e-3` and a default of `0.001` are the same choice.
"""

import json
import math
import shlex
from collections.abc import Sequence
from typing import Any

from sinefield.report.runs import RunFolder

Value = str | int | float | bool | None
NO_KNOBS = ("hydra.", "hydra/", "logger", "name", "resume", "callback")  # where a run goes, not what it is
_ABSENT = object()
MOST_ENTRIES = 2000  # of one configuration; YAML's aliases can make a few lines into billions


def typed(value: Any) -> Value:
    """A value as what it means: a number, true, false, nothing, or text.

    >>> [typed(v) for v in ("1e-3", "256", "true", "null", "skimage\\\\:camera", [1, 2], "nan")]
    [0.001, 256, True, None, 'skimage:camera', '[1, 2]', 'nan']
    """
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    if not isinstance(value, str):  # JSON has neither NaN nor infinity
        plain = value is None or (isinstance(value, int | float) and abs(value) < math.inf)
        return value if plain else str(value)
    constants: dict[str, Value] = {"true": True, "false": False, "null": None}
    if value.lower() in constants:
        return constants[value.lower()]
    try:
        number = float(value)
    except ValueError:
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        return value[1:-1] if quoted else value.replace("\\", "")  # Hydra's quotes and escapes
    if not math.isfinite(number):
        return value
    return int(value) if value.strip("+-").isdigit() else number


def overridden(run: RunFolder) -> dict[str, Value]:
    """The overrides of a run by key; a deletion `~key` is None."""
    found = {}
    for override in run.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if not key.startswith(NO_KNOBS):
            found[key] = typed(value) if not override.startswith("~") else None
    return found


def swept(runs: Sequence[RunFolder]) -> tuple[list[str], list[dict[str, Value]]]:
    """The knobs that differ between runs, in the order in which they were typed, and each run's value of them.

    A run that did not say has the value of its configuration, or its choice in that group of conf/, or no such knob.
    """
    chosen = [overridden(run) for run in runs]
    keys = list(dict.fromkeys(key for options in chosen for key in options))
    for run, options in zip(runs, chosen, strict=True):
        found = {key: _configured(run.config, key) for key in keys if key not in options}
        if any(value is _ABSENT or isinstance(value, dict) for value in found.values()):  # some may be groups
            found |= {key: value for key, value in run.choices().items() if key in found}
        options |= {key: typed(value) for key, value in found.items() if value is not _ABSENT}
    readable = [o for o, run in zip(chosen, runs, strict=True) if run.overrides or run.config]  # not what is in ruins

    def differs(key: str) -> bool:
        values = [options.get(key, _ABSENT) for options in readable]
        return len({(isinstance(value, bool), value) for value in values}) > 1  # True == 1

    knobs = [key for key in keys if differs(key)]
    return knobs, [{key: options[key] for key in knobs if key in options} for options in chosen]


def _configured(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part, _ABSENT) if isinstance(config, dict) else _ABSENT
    return config


def flat(config: Any, prefix: str = "", depth: int = 0) -> dict[str, Value]:
    """A nested configuration as one table with dotted names; lists stay whole.

    >>> flat({"field": {"width": 64}, "betas": [0.9, 0.999]})
    {'field.width': 64, 'betas': '[0.9, 0.999]'}

    Raises:
        ValueError: it is deeper than 20 levels or longer than `MOST_ENTRIES`, which no run's is.
    """
    if not isinstance(config, dict) or (prefix and not config):
        return {prefix: typed(config) if not isinstance(config, str) else config}
    found: dict[str, Value] = {}
    for key, value in config.items():
        if depth > 20 or len(found) > MOST_ENTRIES:
            raise ValueError("config.yaml is larger than any run's")
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    return found


def command(run: RunFolder) -> str:
    """What to type to make this run again; "" where its overrides are not known."""
    if not run.overrides and not run.config:
        return ""
    own = [text for text in run.overrides if not text.startswith("+callback.")]  # what a search adds to a trial
    # An experiment or a preset may be a sweep by itself; this is one job of it.
    single = any(text.lstrip("+").startswith(("experiment=", "sweep=")) for text in own)
    return shlex.join(["python", "train.py", *own, *(["hydra.mode=RUN"] if single else [])])
