"""What lies between two pictures for a prior: `python scripts/interpolate.py run=outputs/… pictures=a.png,b.png`."""

import torch

from sinefield.errors import integer, require
from sinefield.evaluation.collection_pictures import sheet
from sinefield.render.priors import Prior
from sinefield.render.raster import target
from sinefield.runs.trusted_config import packages
from sinefield.system.files import write_atomically
from sinefield.system.script import parse, run

USAGE = """\
The fields between those of two pictures, for a run of signal=collection: codes on the line from one to the other.

  python scripts/interpolate.py run=outputs/…                                  # the first two held-out pictures
  python scripts/interpolate.py run=outputs/… pictures=1f436,1f431 scale=4     # by their names in the collection
  python scripts/interpolate.py run=outputs/… pictures=12,a.png steps=9        # by number, and from a file
"""
OPTIONS = """\
run: ???          # the folder of a finished run of signal=collection
pictures: null    # two, each a name or a number in the collection, or a file; null: the first two held out
steps: 7          # pictures in all, the two among them
scale: 4          # points for each pixel
out: null         # .png; null: between.png in the run folder
checkpoint: last  # or best
trust: null       # packages beside sinefield whose classes the run may ask for
"""


def main(arguments: list[str]) -> None:
    """Find both codes, draw what is between, write the sheet."""
    options, _ = parse(arguments, OPTIONS, text=("run", "pictures", "out", "checkpoint", "trust"))
    require(options["run"] not in (None, "???"), "give run=…; without arguments the usage is shown")
    prior = Prior(options["run"], options["checkpoint"] or "last", packages(options["trust"]))
    out = target(options["out"] or prior.folder / "between.png", (".png",))
    first = prior.signal.trained
    others = f"{first},{min(first + 1, prior.signal.count - 1)}"
    names = (options["pictures"] or others).split(",")
    require(len(names) == 2, f"pictures takes two, such as pictures=3,a.png, not {options['pictures']}")
    a, b = (prior.code(name) for name in names)
    parts = torch.linspace(0, 1, integer("steps", options["steps"], least=2)).tolist()
    drawn = [(f"{part:.2f}", prior.picture(a + part * (b - a), options["scale"])[None]) for part in parts]
    write_atomically(out, sheet(drawn, f"from {names[0]} to {names[1]}"))
    print(out)


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
