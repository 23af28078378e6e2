"""Complete a picture of which few pixels are known: `python scripts/complete.py run=… picture=x.png keep=100`."""

import numpy as np
import torch

from sinefield.errors import integer, require
from sinefield.evaluation.collection import linear
from sinefield.evaluation.collection_pictures import sheet
from sinefield.evaluation.png import write_png
from sinefield.render.priors import Prior
from sinefield.render.raster import target
from sinefield.report.colours import value_picture
from sinefield.runs.trusted_config import packages
from sinefield.system.files import write_atomically
from sinefield.system.script import parse, run

USAGE = """\
A picture completed from some of its pixels by a run of signal=collection: the encoder's guess, a better code, and a
field of its own, tuned to the pixels that are seen.

  python scripts/complete.py run=outputs/… picture=x.png keep=100           # 100 random pixels of it
  python scripts/complete.py run=outputs/… picture=x.png mask=mask.png      # those where the mask is white
  python scripts/complete.py run=outputs/… picture=x.png keep=1000 scale=8  # eight times the resolution

A sheet of all steps, completion.png, goes into the run folder beside the completed picture.
"""
OPTIONS = """\
run: ???          # the folder of a finished run of signal=collection
picture: ???      # a file, whose middle square is made as large as the collection's pictures, or a name or number in it
keep: null        # pixels that are kept, at random; null: all, or those of the mask
mask: null        # a picture file, white where pixels are kept
seed: 0           # of the random pixels
steps: 150        # of the code's refinement
tune: 300         # steps of the field's own weights; 0: the code alone
scale: 1          # points for each pixel of the completed picture
out: null         # the completed picture, .png; null: completed.png in the run folder
checkpoint: last  # or best
trust: null       # packages beside sinefield whose classes the run may ask for
"""


def main(arguments: list[str]) -> None:
    """Complete, write both pictures, and say how far each step is from the picture as it is."""
    options, _ = parse(arguments, OPTIONS, text=("run", "picture", "mask", "out", "checkpoint", "trust"))
    for name in ("run", "picture"):
        require(options[name] not in (None, "???"), f"give {name}=…; without arguments the usage is shown")
    prior = Prior(options["run"], options["checkpoint"] or "last", packages(options["trust"]))
    out = target(options["out"] or prior.folder / "completed.png", (".png",))
    whole = prior.pixels(options["picture"])
    seen = torch.ones(len(whole), dtype=torch.bool)
    if options["mask"] is not None:
        seen &= prior.pixels(options["mask"]).mean(1) > 0
    if options["keep"] is not None:
        keep = integer("keep", options["keep"], least=1)
        order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(integer("seed", options["seed"], 0)))
        seen &= torch.isin(torch.arange(len(whole)), order[seen[order]][:keep])
    require(bool(seen.any()), "no pixel is kept; give a mask with some white, or more to keep")
    observation = prior.observe(whole, seen)
    steps, tune = integer("steps", options["steps"], least=0), integer("tune", options["tune"], least=0)
    field, code = prior.field, prior.field.refine(observation, prior.spread, steps)
    stages = {"encoder": field.fields(field.codes([observation])), "code refined": field.fields(code)}
    if tune:
        stages["field tuned"] = field.tune(code, observation, tune)
    shape = (*prior.signal.shape, prior.signal.channels)
    rows = {"picture": whole, f"{int(seen.sum())} pixels": torch.where(seen[:, None], whole, torch.nan)}
    rows["linear interpolation"] = linear(observation)[0]
    drawn = {name: part.reshape(shape).double().numpy() for name, part in rows.items()}
    drawn |= {name: prior.drawn(stack) for name, stack in stages.items()}
    for name in list(drawn)[2:]:
        print(f"{name:22} MSE {np.square(drawn[name] - drawn['picture']).mean():.4f} in [-1, 1]")
    caption = f"{options['picture']} from {int(seen.sum())} of {len(seen)} pixels"
    steps_drawn = prior.folder / "completion.png"
    write_atomically(steps_drawn, sheet([(name, part[None]) for name, part in drawn.items()], caption))
    final = value_picture(prior.drawn(list(stages.values())[-1], options["scale"]))
    write_png(out, final, caption)
    print(f"{out}: {final.shape[1]} × {final.shape[0]} pixels")
    print(steps_drawn)


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
