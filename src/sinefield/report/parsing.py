"""The files of a run folder, each of which may be broken or hostile, as tables, lists and numbers, or a ValueError."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with libyaml


def line(error: object) -> str:
    """An error as one line of at most 300 characters."""
    if isinstance(error, OSError) and error.strerror:
        error = error.strerror
    return " ".join(str(error).split())[:300] or type(error).__name__


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no ordinary file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no UTF-8 text") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path.name}: {line(error)}") from error


def parsed_json(path: Path) -> Any:
    """A JSON file; ValueError that names the file where it is broken."""
    text = _text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is no whole JSON: {line(error)}") from error


def parsed_yaml(path: Path) -> Any:
    """A YAML file; ValueError that names the file where it is broken."""
    text = _text(path)
    try:
        if ("*" not in text and len(text) <= 10_000) or not _grows(text):
            return yaml.load(text, _Loader)  # a safe one
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path.name} is no whole YAML: {line(error)}") from error
    raise ValueError(f"{path.name} is larger than any run's")


def _grows(text: str) -> bool:
    """Whether it makes much out of little: by aliases, or by nesting so deep that libyaml would end the process."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > 100 or isinstance(event, yaml.AliasEvent):
            return True
    return False


def parsed_history(path: Path) -> dict[str, list[float | None]]:
    """The columns of history.csv; ValueError that names the line where it is broken."""
    rows = list(csv.reader(_text(path).splitlines()))
    if len(rows) < 2 or "step" not in rows[0]:
        raise ValueError("history.csv holds no evaluation")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise ValueError(f"history.csv, line {number}: {len(row)} of {len(rows[0])} values")
    try:
        numbers = [[float(value) if value else math.nan for value in row] for row in rows[1:]]
    except ValueError as error:
        raise ValueError(f"history.csv: {error}") from error
    columns = zip(*numbers, strict=True)
    return {name: [v if math.isfinite(v) else None for v in c] for name, c in zip(rows[0], columns, strict=True)}
