"""One HTML file that compares runs: `python scripts/dashboard.py outputs/…`."""

import sys
from pathlib import Path

from sinefield.errors import UserError
from sinefield.report import dashboard

USAGE = """\
Compares all runs in some folders, finished or not, in one HTML file that needs no server and no network.

  python scripts/dashboard.py outputs/fit/… outputs/…

out=FILE   the page; default: dashboard.html in the first folder
"""


def main(arguments: list[str]) -> None:
    """Build the page and say where it is."""
    out = [Path(argument.removeprefix("out=")) for argument in arguments if argument.startswith("out=")]
    folders = [Path(argument) for argument in arguments if not argument.startswith("out=")]
    print(dashboard.build(folders, out[-1] if out else None))


if __name__ == "__main__":
    if set(sys.argv[1:]) & {"-h", "--help"} or len(sys.argv) == 1:
        sys.exit(USAGE)
    try:
        main(sys.argv[1:])
    except (UserError, OSError) as mistake:
        sys.exit(f"error: {mistake}")
