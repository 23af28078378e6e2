"""What the scripts have in common: their usage on demand, options as key=value, a mistake as one line."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable, Sequence

from sinefield.errors import UserError
from sinefield.system.streams import unfailing


def accept_any_character() -> None:
    """Have standard output escape what its encoding lacks, such as … in ASCII, where it would raise an error.

    A file's name that could not be decoded is written as the bytes that it is made of.
    """
    codecs.register_error("sinefield", _escape)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="sinefield")


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


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
    sys.exit(1 if failed else 0)


def split(arguments: Sequence[str], *names: str) -> tuple[dict[str, str], list[str]]:
    """The options of these names, key: value, and everything else; the name of a folder may hold "=" too.

    >>> split(["outputs/a=1", "out", "out=page.html"], "out")
    ({'out': 'page.html'}, ['outputs/a=1', 'out'])
    """
    options = [argument for argument in arguments if argument.startswith(tuple(f"{name}=" for name in names))]
    return dict(option.split("=", 1) for option in options), [rest for rest in arguments if rest not in options]
