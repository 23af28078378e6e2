"""A picture at another size: `python scripts/upscale.py picture=cat.jpg scale=2`; without arguments: usage."""

from pathlib import Path

from sinefield.errors import require
from sinefield.system.script import parse, run

USAGE = """\
A picture file with more pixels: a spline through its own, and between them what a prior learnt from many pictures.

  python scripts/upscale.py picture=cat.jpg scale=2
  python scripts/upscale.py picture=cat.jpg scale=3.5 symmetric=true out=large.tif

The prior takes pixels for samples of the scene at points, as a good camera's hardly are: docs/priors.md.
"""
OPTIONS = """\
picture: ???     # a file, or skimage:NAME
scale: 2.0       # pixels of the result per pixel, along each side; need not be whole
out: null        # the file to write: .png of 8 bits, .tif or .npy of float32; null: NAME_x2.png in this folder
prior: natural   # one of the package, a file that scripts/prior.py wrote, or null for the spline alone
symmetric: false # true: the mean over eight turns and mirror images, which takes eight times as long
white: null      # the stored value of white in a file of more than 8 bits per channel
allow_huge: false # true: read pictures of more than 89 million pixels too
"""


def main(arguments: list[str]) -> None:
    """Write the file."""
    options, _ = parse(arguments, OPTIONS, ("picture", "out", "prior"))
    path = options.pop("picture")
    require(path not in (None, "???"), "say which picture: picture=cat.jpg")
    from sinefield.render.upscale import upscale  # noqa: PLC0415  a typo needs no torch

    name = f"{Path(path).stem.removeprefix('skimage:')}_x{options['scale']:g}.png"
    options["out"] = out = options["out"] or name
    height, width, _ = upscale(path, **options).shape
    print(f"{out}: {width} × {height} pixels")


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
