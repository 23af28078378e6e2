"""Run folders as they are found on disk, whole or not: what each holds, and in words what is wrong with it.

A run folder has a `config.yaml`, `.hydra/config.yaml`, `status.json` or `metrics.json`; it is finished once
`metrics.json` is there, since that is written last. Nothing here raises for what a folder holds: a truncated file, a
hostile name or a loop of links ends as a run with `status` "damaged" and a reason.
"""

import csv
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from sinefield.report.parsing import line, parsed_history, parsed_json, parsed_yaml
from sinefield.system.lock import locked

MARKS = ("metrics.json", "status.json", "config.yaml", ".hydra/config.yaml")
STATES = ("finished", "running", "interrupted", "failed", "unfinished", "damaged")


@dataclass
class RunFolder:
    """One run."""

    folder: Path
    status: str = "unfinished"  # one of `STATES`
    problems: list[str] = field(default_factory=list)  # a line each: what the run failed of, what could not be read
    overrides: list[str] = field(default_factory=list)  # as typed, ["loss=gradient", "seed=1"]
    config: dict[str, Any] = field(default_factory=dict)  # resolved, nested
    metrics: dict[str, Any] = field(default_factory=dict)  # of an unfinished run its scores' names and last values
    history: dict[str, list[float | None]] = field(default_factory=dict)  # by column; None where not finite
    where: dict[str, Any] = field(default_factory=dict)  # host, pid and since, as status.json says

    def choices(self) -> dict[str, Any]:
        """The file chosen in each group of conf/ ("loss": "value"), defaults included; {} where Hydra left none."""
        found = _attempt(lambda: parsed_yaml(self.folder / ".hydra" / "hydra.yaml"), [])
        for key in ("hydra", "runtime", "choices"):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def damage(self, reason: str) -> None:
        """Mark as damaged."""
        self.status = "damaged"
        self.problems.append(reason)


def find(folders: Iterable[Path]) -> Iterator[RunFolder]:
    """All runs in some folders and below, each once, in the order of their names, 2 before 10."""
    seen: set[Path] = set()
    for folder in folders:
        yield from _below(folder, seen, ())


def _below(folder: Path, seen: set[Path], above: tuple[Path, ...]) -> Iterator[RunFolder]:
    try:
        real = folder.resolve(strict=True)
        if real in above:
            yield RunFolder(folder, "damaged", ["a symbolic link to a folder that holds it"])
        if real in seen:
            return
        seen.add(real)
        if any((folder / mark).is_file() for mark in MARKS):
            yield read(folder)
        foreign = (folder / "pyvenv.cfg").is_file() or any(folder.glob("run-*.wandb"))  # their config.yaml is no run's
        inside = [] if foreign else [Path(entry) for entry in os.scandir(folder) if _to_search(entry)]
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 call a loop of links a RuntimeError
        yield RunFolder(folder, "damaged", [line(error)])
        return
    for child in sorted(inside, key=lambda path: _natural(path.name)):
        yield from _below(child, seen, (*above, real))


def _to_search(entry: os.DirEntry[str]) -> bool:
    if entry.name in (".hydra", ".git"):  # a run's own composed config.yaml, and what no run is made in
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: _below says what is wrong
        return True


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts "2" before "10"."""
    parts = re.findall(r"[0-9]+|[^0-9]", name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


def read(folder: Path) -> RunFolder:
    """The run in one folder, with whatever of it can be read."""
    run, problems = RunFolder(folder), list[str]()
    config = folder / "config.yaml" if (folder / "config.yaml").exists() else folder / ".hydra" / "config.yaml"
    metrics = folder / "metrics.json"
    run.config = _attempt(lambda: _table(parsed_yaml(config)), problems) or {}
    derived = run.config.get("derived")
    scores = derived.pop("scores", None) if isinstance(derived, dict) else None  # `monitor` and `shown` of metrics.json
    run.overrides = _attempt(lambda: _texts(parsed_yaml(folder / ".hydra" / "overrides.yaml")), problems) or []
    run.history = _attempt(lambda: parsed_history(folder / "history.csv"), problems) or {}
    status = _attempt(lambda: _table(parsed_json(folder / "status.json")), problems) or {}
    run.where = {key: status[key] for key in ("host", "pid", "since") if key in status}
    if metrics.exists():
        run.status = "finished"
        run.metrics = _attempt(lambda: _table(parsed_json(metrics)), problems) or {}
    else:
        run.status = state = status.get("state", "unfinished")
        if state not in STATES:
            problems.append(f"status.json: unknown state {state!r}"[:200])
        elif state == "finished":
            run.status = "unfinished"
        elif state == "running" and status.get("host") == socket.gethostname() and not locked(folder):
            run.status = "interrupted"  # its process is gone without a word
        called = {"step": "steps", "seconds": "fit_seconds"}
        run.metrics = scores if isinstance(scores, dict) else {}
        run.metrics |= {called.get(key, key): values[-1] for key, values in run.history.items()}
        run.problems += [line(status["error"])] if status.get("error") else []
    for problem in problems:
        run.damage(problem)
    return run


def _attempt(parse: Callable[[], Any], problems: list[str]) -> Any:
    """What `parse` returns; None, and a problem more, where the file is broken; None where there is no file."""
    try:
        return parse()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, csv.Error, yaml.YAMLError, RecursionError) as error:
        problems.append(line(error))
        return None


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"a file of the run holds {type(value).__name__} where names and values were expected")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError("overrides.yaml holds no list")
    return [str(item) for item in value]
