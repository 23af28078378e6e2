"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells under their heads.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def columns(found: Iterable[dict[str, Any]], *forms: tuple[str, str, str]) -> str:
    """One row per dict, one column per (head, key, format of the value).

    >>> print(columns([{"n": 1234}], ("count", "n", ",d")))
    | count |
    |---|
    | 1,234 |
    """
    rows = ([format(row[key], form) for _, key, form in forms] for row in found)
    return table([head for head, _, _ in forms], rows)
