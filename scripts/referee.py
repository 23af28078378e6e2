"""Who is best, by how much: `python scripts/referee.py outputs/methods/…`."""

from pathlib import Path

from sinefield.errors import require
from sinefield.report import effect, referee
from sinefield.system.script import is_path, parse, run

USAGE = """\
The methods of a sweep, which also goes over pictures (signal.path) and may over seeds (seed): PSNR on and between the
samples with intervals, mean ranks, seconds, parameters, and a plot of the critical difference.

  python scripts/referee.py outputs/methods/…
  python scripts/referee.py outputs/methods/… tuned_on=moon

With baseline=… instead paired differences of all cases to one, at equal steps, at equal time (trainer.max_steps) and to
the spline:

  python scripts/referee.py outputs/does_supervision_help/… baseline="loss=value data.continuous=false"
"""
OPTIONS = """\
baseline: null  # the overrides of the case that the others are compared with
tuned_on: null  # a picture: each method's best case there is judged on the others
out: null       # the figure, FILE.png; null: referee.png, or effect.png with a baseline, in the folder
"""


def main(arguments: list[str]) -> None:
    """Print the table and draw the figure."""
    options, folders = parse(arguments, OPTIONS, text=("baseline", "tuned_on", "out"), beside=is_path)
    require(len(folders) == 1, "give one folder of a sweep")
    folder, baseline = Path(folders[0]), options["baseline"]
    runs = effect.read(folder)
    if options["tuned_on"] is not None:
        runs = referee.tuned(runs, options["tuned_on"])
    print(effect.table(runs, baseline) if baseline else referee.table(runs))
    out = Path(options["out"] or folder / ("effect.png" if baseline else "referee.png"))
    (effect if baseline else referee).figure(runs, out)
    print(f"\n{out}")


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
