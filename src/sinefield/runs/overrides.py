"""Values of Python as Hydra's overrides."""

import re
from pathlib import Path
from typing import Any

from sinefield.errors import UserError

_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[a-z_][\w./-]*", re.IGNORECASE | re.ASCII)  # a text to Hydra


def override(name: str, value: Any) -> str:
    """`name=value` with the value as Hydra reads it back, of the same type.

    >>> override("loss", "gradient"), override("optimizer.betas", (0.9, 0.99)), override("seed", None)
    ('loss=gradient', 'optimizer.betas=[0.9,0.99]', 'seed=null')

    Raises:
        UserError: the value is of no such type.
    """
    return f"{name}={_literal(name, value)}"


def _literal(name: str, value: Any) -> str:
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, torch's tensors
        value = value.tolist()
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return str(value) if _PLAIN.fullmatch(str(value)) else quoted(str(value))
    if isinstance(value, list | tuple):
        return f"[{','.join(_literal(name, one) for one in value)}]"
    raise UserError(f"{name} must be a text, a number, true or false, None, or a list or table of these, not {value!r}")


def quoted(text: str) -> str:
    """As a string in an override, whatever is in it.

    >>> quoted("Käse 1")
    "'Käse 1'"
    """
    doubled = re.sub(r"(\\+)(?='|\Z)", r"\1\1", text)  # Hydra takes only those before a quote for an escape
    return "'" + doubled.replace("'", "\\'") + "'"
