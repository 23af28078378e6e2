"""The one exception for what a user can mend: its message says what is wrong, where, and how to fix it."""

import math
import operator
from numbers import Real


class UserError(ValueError):
    """A mistake in the input or the configuration; one line, shown without a traceback."""


class CheckpointError(UserError):
    """A checkpoint that no run can go on from: damaged, or of another run."""


def require(condition: bool, message: str) -> None:
    """Raise `UserError(message)` unless `condition` holds.

    >>> require(3 > 2, "never shown")
    >>> require(-1 >= 0, "field.depth must be at least 0, not -1")
    Traceback (most recent call last):
    sinefield.errors.UserError: field.depth must be at least 0, not -1
    """
    if not condition:
        raise UserError(message)


def integer(name: str, value: object, least: int, most: int = 2**40) -> int:
    """`value`, of Python or NumPy, as an int from `least` to `most`; a `UserError` that names the knob otherwise.

    >>> integer("field.width", 256, least=1)
    256
    >>> integer("signal.size", 0, least=4)
    Traceback (most recent call last):
    sinefield.errors.UserError: signal.size must be a whole number of at least 4, not 0
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    require(number >= least, f"{name} must be a whole number of at least {least}, not {value!r}")
    require(number <= most, f"{name} must be at most {most:,}, not {number:,}")
    return number


def positive(name: str, value: object) -> float:
    """`value`, of Python or NumPy, as a finite float above zero; a `UserError` that names the knob otherwise.

    >>> positive("activation.omega0", 30)
    30.0
    >>> positive("optimizer.lr", float("nan"))
    Traceback (most recent call last):
    sinefield.errors.UserError: optimizer.lr must be a finite number above 0, not nan
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    require(math.isfinite(number) and number > 0, f"{name} must be a finite number above 0, not {value!r}")
    return number
