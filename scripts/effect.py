"""What a choice does between the samples: `python scripts/effect.py outputs/… baseline="loss=value …"`."""

from pathlib import Path

from sinefield.errors import require
from sinefield.report import effect
from sinefield.system.script import is_path, parse, run

USAGE = """\
Paired differences of a sweep's runs to a baseline, at equal steps, at equal time and to the spline, as a table and a
figure. The sweep also goes over pictures (signal.path), seeds (seed) and lengths (trainer.max_steps).

  python scripts/effect.py outputs/does_supervision_help/… baseline="loss=value data.continuous=false"
"""
OPTIONS = """\
baseline: null  # the overrides of the case that the others are compared with; null: the first run's
out: null       # the figure, FILE.png; null: effect.png in the folder
"""


def main(arguments: list[str]) -> None:
    """Print the table and draw the figure."""
    options, folders = parse(arguments, OPTIONS, text=("baseline", "out"), beside=is_path)
    require(len(folders) == 1, "give one folder of a sweep")
    folder = Path(folders[0])
    runs = effect.read(folder)
    print(effect.table(runs, options["baseline"] or runs[0].case))
    out = Path(options["out"] or folder / "effect.png")
    effect.figure(runs, out)
    print(f"\n{out}")


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
