"""One HTML file that compares runs: `python scripts/dashboard.py outputs/…`."""

from pathlib import Path

from sinefield.report import dashboard
from sinefield.system.script import is_path, parse, run

USAGE = """\
Compares all runs in some folders, finished or not, in one HTML file that needs no server and no network.

  python scripts/dashboard.py outputs/fit/… outputs/…
"""
OPTIONS = """\
out: null  # the page, FILE.html; null: dashboard.html in the first folder
"""


def main(arguments: list[str]) -> None:
    """Build the page and say where it is."""
    options, folders = parse(arguments, OPTIONS, text=("out",), beside=is_path)
    print(dashboard.build([Path(folder) for folder in folders], Path(options["out"]) if options["out"] else None))


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
