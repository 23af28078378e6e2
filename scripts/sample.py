"""Draw pictures from a prior: `python scripts/sample.py run=outputs/… count=64`."""

import torch

from sinefield.errors import integer, require
from sinefield.evaluation.collection_pictures import pairs
from sinefield.render.priors import Prior
from sinefield.render.raster import target
from sinefield.runs.trusted_config import packages
from sinefield.system.files import write_atomically
from sinefield.system.script import parse, run

USAGE = """\
Pictures drawn from a run of signal=collection: a code from a Gaussian, or a mixture, over the codes of the training
pictures, and the field of it; beside each the training picture that is nearest to it, so that what was merely
remembered is seen.

  python scripts/sample.py run=outputs/… count=64
  python scripts/sample.py run=outputs/… count=16 mixture=200 spread=0.7 scale=4
"""
OPTIONS = """\
run: ???          # the folder of a finished run of signal=collection
count: 64         # samples
mixture: 100      # Gaussians, of one covariance; 1: a single Gaussian
spread: 1.0       # of each, times what it is; below 1 there is less variety
seed: 0
scale: 2          # points for each pixel
out: null         # .png; null: samples.png in the run folder
checkpoint: last  # or best
trust: null       # packages beside sinefield whose classes the run may ask for
"""


def main(arguments: list[str]) -> None:
    """Draw, find the nearest training pictures, write the sheet."""
    options, _ = parse(arguments, OPTIONS, text=("run", "out", "checkpoint", "trust"))
    require(options["run"] not in (None, "???"), "give run=…; without arguments the usage is shown")
    prior = Prior(options["run"], options["checkpoint"] or "last", packages(options["trust"]))
    out = target(options["out"] or prior.folder / "samples.png", (".png",))
    mixture = min(integer("mixture", options["mixture"], least=1), prior.signal.trained)
    codes = prior.samples(options["count"], mixture, options["spread"], integer("seed", options["seed"], least=0))
    with torch.no_grad():
        values = torch.cat([prior.field.values(some, prior.signal.pixel_grid()) for some in codes.split(64)])
    nearest = prior.nearest(values)
    known = prior.signal.pixels_of(nearest)
    apart = (values.clamp(-1, 1) - known.flatten(1, 2)).square().mean((1, 2))
    drawn = [prior.picture(code, options["scale"]) for code in codes]
    words = f"{len(codes)} samples, each with the nearest of {prior.signal.trained} training pictures to its right"
    write_atomically(out, pairs(list(zip(drawn, known.double().numpy(), strict=True)), words))
    print(f"MSE to the nearest training picture: mean {apart.mean():.4f}, least {apart.min():.4f}, in [-1, 1]")
    print(f"{out}: {words}")


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
