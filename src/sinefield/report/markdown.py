"""Tables in Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows under the names of their entries; a float has three digits, or all of those before the point.

    >>> print(table([{"case": "a", "points": 1234}, {"case": "b", "gain": 0.12345}]))
    | case | points | gain |
    |---|---|---|
    | a | 1,234 | - |
    | b | - | 0.123 |
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[name.replace("_", " ") for name in names], *([_cell(row.get(name)) for name in names] for row in rows)]
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(names), *body])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value) or 1)))}f}"
    return "-" if value is None else value if isinstance(value, str) else f"{value:,}"
