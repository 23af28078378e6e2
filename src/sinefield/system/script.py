"""What the scripts have in common: their usage on demand, options as key=value, a mistake as one line."""

import codecs
import io
import math
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml  # type: ignore[import-untyped]

from sinefield.errors import UserError, require
from sinefield.system.streams import unfailing

KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def accept_any_character() -> None:
    """Have standard output escape what its encoding lacks, such as … in ASCII, and write undecodable names as bytes."""

    def escape(error: UnicodeError) -> tuple[str | bytes, int]:
        try:
            return codecs.lookup_error("surrogateescape")(error)
        except UnicodeError:
            return codecs.backslashreplace_errors(error)

    codecs.register_error("sinefield", escape)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="sinefield")


def run(main: Callable[[list[str]], object], usage: str) -> None:
    """Call `main` with the command line's arguments; ends with status 1 where it fails or returns something.

    Without arguments the usage goes to stderr, as a mistake; with -h or --help it is what was asked for.
    """
    accept_any_character()
    sys.stderr = unfailing(sys.stderr)  # the progress of a rendering is not its product, as what it prints is
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(usage, end="")
        sys.exit()
    if not arguments:
        sys.exit(usage)
    try:
        failed = main(arguments)
    except (UserError, OSError) as mistake:
        sys.exit(f"error: {mistake}")
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is written", file=sys.stderr)
        sys.exit(130)
    sys.exit(1 if failed else 0)


def parse(
    arguments: Sequence[str],
    options: str,
    text: Collection[str] = (),
    choices: Mapping[str, Sequence[Any]] | None = None,
    beside: Callable[[str], bool] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """The options key=value of a script, those that are not given at their defaults, and the other arguments.

    Args:
        arguments: of the command line.
        options: a YAML table of the options and their defaults, as the usage shows it. A value must be of its default's
            kind: true or false, a whole number (1), a number (1.0), or a list ([1, 2], given as [1,2] or 1,2).
        text: the options whose values are taken as they are typed.
        choices: what an option, or each entry of its list, may be.
        beside: whether an argument that is no option is one that the script takes too, such as a folder.

    Raises:
        UserError: an option is unknown or cannot be read, or its value is none that it may have.

    >>> parse(["at=3,4", "out=1e3.png", "outputs/a=1"], "at: [0, 0]\\nout: null\\nscale: 1.0", ["out"], beside=is_path)
    ({'at': [3, 4], 'out': '1e3.png', 'scale': 1.0}, ['outputs/a=1'])
    """
    found: dict[str, Any] = yaml.safe_load(options)
    defaults, rest = dict(found), []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in defaults:
            as_typed = None if value in ("", "null") else value
            found[name] = as_typed if name in text else _value(name, value, defaults[name])
            for one in found[name] if isinstance(found[name], list) else [found[name]]:
                among = (choices or {}).get(name)
                said = f"{name} must be one of {', '.join(map(str, among or ()))}, not {one!r}"
                require(among is None or one in among, said)
        elif beside is not None and beside(argument):
            rest.append(argument)
        else:
            known = f"choose from: {', '.join(defaults)}" if defaults else "this script has no options"
            require(bool(equals), f"{argument!r} is no option; write key=value; {known}")
            raise UserError(f"there is no {name}; {known}")
    return found, rest


def is_path(argument: str) -> bool:
    """Whether an argument names a file or a folder and no option, though there may be "=" in its name.

    >>> is_path("outputs/fit"), is_path("outputs/a=1"), is_path("oot=page.html")
    (True, True, False)
    """
    return "=" not in argument or os.path.exists(argument) or os.sep in argument.partition("=")[0]


def _value(name: str, typed: str, default: Any) -> Any:
    """What is typed as a value of the default's kind."""
    several = isinstance(default, list)
    try:
        value = _numbers(yaml.safe_load(f"[{typed}]" if several and not typed.startswith("[") else typed))
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # the last of a date that is none
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"cannot read the options: {name}={typed[:100]} ({reason})") from error
    kind = type(next(iter(default), None)) if several else type(default)
    if kind in KINDS:
        said = f"{name} takes {KINDS[kind]} each" if several else f"{name} must be {KINDS[kind]}, not {typed[:100]}"
        may = (int, float) if kind is float else (kind,)
        require(all(type(one) in may for one in (value if several else [value])), said)
    return value


def _numbers(value: Any) -> Any:
    """With words that Python reads as finite numbers, such as 1e-3, as numbers: YAML does not."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    with suppress(ValueError):
        if isinstance(value, str) and math.isfinite(number := float(value)):
            return number
    return value
