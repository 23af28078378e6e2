"""Run folders as they are found on disk, whole or not: what each holds, and in words what is wrong with it.

A run folder has a `config.yaml`, `.hydra/config.yaml`, `status.json` or `metrics.json`; it is finished once
`metrics.json` is there, since that is written last. Nothing here raises for what a folder holds: a truncated file, a
hostile name or a loop of links ends as a run with `status` "damaged" and a reason.
"""

from __future__ import annotations

import csv
import os
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
    """One run.

    Attributes:
        folder: where it is.
        status: one of `STATES`.
        problems: a line for each thing that is wrong: what the run failed of, what could not be read.
        overrides: as typed, ["loss=gradient", "seed=1"].
        config: the resolved configuration, nested.
        metrics: metrics.json; of an unfinished run what its scores are, and the last row of its history.
        history: the columns of history.csv; None where a number is not finite.
        where: host, pid and since, as status.json says.
    """

    folder: Path
    status: str = "unfinished"
    problems: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float | None]] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)

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
        inside = [] if _holds_no_runs(folder) else [Path(entry) for entry in os.scandir(folder) if _to_search(entry)]
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 call a loop of links a RuntimeError
        yield RunFolder(folder, "damaged", [line(error)])
        return
    for child in sorted(inside, key=lambda path: _natural(path.name)):
        yield from _below(child, seen, (*above, real))


def _holds_no_runs(folder: Path) -> bool:
    """Whether a folder is W&B's of one run or a virtual environment, whose every config.yaml is somebody else's."""
    return (folder / "pyvenv.cfg").is_file() or any(folder.glob("run-*.wandb"))


def _to_search(entry: os.DirEntry[str]) -> bool:
    if entry.name in (".hydra", ".git"):  # a run's own composed config.yaml, and what no run is made in
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: _below says what is wrong
        return True


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts "2" before "10"."""
    parts = "".join(c if c.isascii() and c.isdigit() else f"\0{c}\0" for c in name).split("\0")
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part]


def read(folder: Path) -> RunFolder:
    """The run in one folder, with whatever of it can be read."""
    run = RunFolder(folder)
    problems: list[str] = []
    composed, resolved = folder / ".hydra" / "config.yaml", folder / "config.yaml"
    run.config = _attempt(lambda: _table(parsed_yaml(resolved if resolved.exists() else composed)), problems) or {}
    derived = run.config.get("derived")
    scores = derived.pop("scores", None) if isinstance(derived, dict) else None  # `monitor` and `shown` of metrics.json
    run.overrides = _attempt(lambda: _texts(parsed_yaml(folder / ".hydra" / "overrides.yaml")), problems) or []
    run.history = _attempt(lambda: parsed_history(folder / "history.csv"), problems) or {}
    status = _attempt(lambda: _table(parsed_json(folder / "status.json")), problems) or {}
    run.where = {key: status[key] for key in ("host", "pid", "since") if key in status}
    if (folder / "metrics.json").exists():
        run.status = "finished"
        run.metrics = _attempt(lambda: _table(parsed_json(folder / "metrics.json")), problems) or {}
    else:
        run.status = _state(folder, status, problems)
        called = {"step": "steps", "seconds": "fit_seconds"}
        run.metrics = scores if isinstance(scores, dict) else {}
        run.metrics |= {called.get(key, key): values[-1] for key, values in run.history.items()}
        run.problems += [line(status["error"])] if status.get("error") else []
    for problem in problems:
        run.damage(problem)
    return run


def _state(folder: Path, status: dict[str, Any], problems: list[str]) -> str:
    """What a folder without metrics.json is. One of this host whose process is gone without a word was interrupted."""
    state = status.get("state", "unfinished")
    if state not in STATES:
        problems.append(f"status.json: unknown state {state!r}"[:200])
        return "damaged"
    if state == "running" and status.get("host") == socket.gethostname():
        return "running" if locked(folder) else "interrupted"
    return "unfinished" if state == "finished" else str(state)


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
