"""A picture as a function in few bytes: `python scripts/compress.py picture=cat.png out=cat.sine`, and back."""

from pathlib import Path

from sinefield.errors import require
from sinefield.system.script import is_path, parse, run

USAGE = """\
A picture as a continuous function in a file of a few thousand bytes, and back.

  python scripts/compress.py picture=cat.png out=cat.sine rate=0.3     # as local waves, in seconds
  python scripts/compress.py run=outputs/fit/… out=cat.sine rate=0.3   # the network of a run, its weights rounded
  python scripts/compress.py cat.sine out=cat.png                      # back
  python scripts/compress.py cat.sine out=large.png scale=4            # at any resolution
  python scripts/compress.py cat.sine out=gradient.tif part=gradient crop="[80,30,120,70]"

In Python, `sinefield.decompress("cat.sine").jet(x, order=2)` has value, gradient and Laplacian anywhere.
"""
OPTIONS = """\
picture: null    # a picture file, or skimage:NAME
run: null        # the folder of a finished run of a picture, with activation=sine and encoding=radial or none
out: null        # to write: .sine; or, from a .sine file, .png, .tif or .npy
rate: 0.3        # bits per pixel that the file is to have, nearly; of a run: at most, and 5 for each weight at least
block: 32        # of a picture: samples along a side of a block of waves, 4 to 128; 16 or 8 below 200 pixels
steps: 1000      # of a run: of training its rounded weights
lr: 0.0005       # of a run: the rate at which that begins
compare: null    # a picture file: what JPEG and WebP make of it in as many bytes
seed: 0
checkpoint: last # of a run: last or best
trust: null      # packages, a,b, whose classes the run's folder may ask for beside this project's own
part: value      # of what is drawn: value, gradient or laplacian
scale: 1.0       # pixels drawn per pixel of the picture, along each side
crop: null       # [left, top, right, bottom] in pixels
bits: 8          # 8 or 16, of the values in a PNG
"""
CHOICES = {"checkpoint": ("last", "best")}


def main(arguments: list[str]) -> None:
    """Do what the arguments say; UserError where they make no sense."""
    texts = ("picture", "run", "out", "compare", "trust")
    options, files = parse(arguments, OPTIONS, texts, CHOICES, beside=is_path)
    given = [options["picture"], options["run"], *files]
    require(sum(one is not None for one in given) == 1, "give one of picture=…, run=… and a .sine file")
    from sinefield import compression, render  # noqa: PLC0415  a typo needs no torch
    from sinefield.runs.trusted_config import packages  # noqa: PLC0415

    if files:
        file = Path(files[0])
        chosen = {name: options[name] for name in ("part", "scale", "crop", "bits")}
        print(render.render(compression.Decoded(file), options["out"] or file.with_suffix(".png"), **chosen))
    else:
        require(options["out"] is not None, "say which file to write: out=picture.sine")
        out = Path(options["out"])
        knobs = {name: options[name] for name in ("rate", "seed")} | {"said": print}
        if options["picture"] is not None:
            print(compression.compress_picture(options["picture"], out, block=options["block"], **knobs))
        else:
            knobs |= {name: options[name] for name in ("steps", "lr", "checkpoint")}
            print(compression.compress_run(options["run"], out, trust=packages(options["trust"]), **knobs))
        file = out
    if options["compare"] is not None:
        print("\n".join(compression.compare(options["compare"], file.stat().st_size)))


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
