"""Render a finished run: `python scripts/render.py run=outputs/… scale=4`; without arguments, all there is to say."""

import json
from pathlib import Path
from typing import Any

from sinefield.errors import require
from sinefield.system.script import parse, run

USAGE = """\
A finished run as a continuous picture; that of a shape as a mesh, that of a film as a film.

  python scripts/render.py run=outputs/… scale=4                                # four times the resolution
  python scripts/render.py run=outputs/… scale=20 crop="[80,30,120,70]" part=gradient out=gradient.tif
  python scripts/render.py run=outputs/… at="[[3.5,2.5],[10.25,7]]" part=laplacian   # numbers at these points
  python scripts/render.py run=outputs/… zoom="[120,60,32]"                     # nearest, bicubic and the field
  python scripts/render.py run=outputs/… out=mesh.ply resolution=512            # of a shape: .ply .obj .stl .off .glb
  python scripts/render.py run=outputs/… out=slow.mp4 speed=0.25 scale=2        # of a film: any speed and resolution

Positions are (column, row) in pixels of the training grid, [0, 0] at the centre of the first sample.
"""
OPTIONS = """\
run: ???         # the folder of a finished run
out: null        # the file to write: .png, .tif, .npy; null: render.png or zoom.png in the run folder; or a mesh
part: value      # value, gradient or laplacian
scale: 1.0       # pixels of the rendering per pixel of the picture, along each side; need not be whole
crop: null       # [left, top, right, bottom] in pixels, as areas: [0,0,W,H] is everything
bits: 8          # 8 or 16, of the values in a PNG
limit: null      # the derivative a PNG shows in full colour; null: the 98th percentile of its size in the picture
units: colour    # of numbers. colour: 0 to 1, derivatives per pixel; byte: 0 to 255, derivatives per pixel;
                 # field: -1 to 1, derivatives per unit of coordinate, 2 of which span the longest side
at: null         # [[column, row], ...]: print the value there, and the derivatives up to `part`
json: false      # true: print them as JSON
zoom: null       # [column, row, size] of a place, or auto: write a figure of it, magnified three ways
checkpoint: last # last or best
device: auto     # cpu, cuda or auto
trust: null      # packages, a,b, whose classes the folder may ask for beside this project's own
tile: 8192       # points evaluated at once: what bounds the memory
resolution: 256  # of a mesh: cells along the longest side of the box; memory and time grow as its square
level: 0.0       # of a mesh: the value of the field on it
speed: 1.0       # of a film: 0.25 is four times as slow
rate: null       # of a film: frames per second of the rendering; null: those of the file
largest: false   # of a mesh: true: the part with the largest area alone
"""


def main(arguments: list[str]) -> None:
    """Do what the arguments say; UserError where they make no sense."""
    options, _ = parse(arguments, OPTIONS, text=("run", "out", "trust"))
    require(options["run"] not in (None, "???"), "say which run: run=outputs/…")
    from sinefield import render  # noqa: PLC0415  a typo needs no torch
    from sinefield.render import film, mesh  # noqa: PLC0415
    from sinefield.runs.trusted_config import packages  # noqa: PLC0415

    folder, out, trust = Path(options["run"]), options["out"], packages(options["trust"])
    if out is not None and Path(out).suffix.lower() in mesh.ENDINGS:
        chosen = {name: options[name] for name in ("resolution", "level", "device", "checkpoint")}
        print(mesh.render_mesh(folder, out, **chosen, only_largest=options["largest"], trust=trust, progress=True))
        return
    if film.is_film(folder):
        chosen = {name: options[name] for name in ("speed", "scale", "rate", "device", "checkpoint", "tile")}
        print(film.render_film(folder, out or folder / "render.mp4", **chosen, trust=trust, progress=True))
        return
    solid = (folder / "metrics.json").is_file() and mesh.dimensions(folder, trust) == 3
    require(not solid, f"{folder} is no run of a picture: its field has three coordinates; out=mesh.ply makes a mesh")
    picture = render.Picture(folder, options["device"], options["checkpoint"], trust)
    if options["at"] is not None:
        jet = render.at(picture, options["at"], options["part"], options["units"])
        points = options["at"] if isinstance(options["at"][0], list) else [options["at"]]
        units = {part: render.unit(part, options["units"]) for part in render.PARTS[: jet.order + 1]}
        print((as_json if options["json"] else as_table)(points, jet, units))
    elif options["zoom"] is not None:
        where = None if options["zoom"] == "auto" else options["zoom"]
        print(render.zoom(picture, options["out"] or picture.folder / "zoom.png", where))
    else:
        chosen = {name: options[name] for name in ("part", "scale", "crop", "bits", "limit", "units", "tile")}
        print(render.render(picture, options["out"] or picture.folder / "render.png", **chosen, progress=True))


def as_json(points: list[list[float]], jet: Any, units: dict[str, str]) -> str:
    """Per point its position, and per channel value, gradient [d/dx, d/dy] and Laplacian, as far as they are known."""
    parts = {name: part.tolist() for name, part in jet._asdict().items() if part is not None}
    rows = [
        {"position": position} | {name: part[i] for name, part in parts.items()} for i, position in enumerate(points)
    ]
    return json.dumps({"units": units, "points": rows}, indent=2)


def as_table(points: list[list[float]], jet: Any, units: dict[str, str]) -> str:
    """A line per point and channel."""
    names = ["grey"] if jet.value.shape[1] == 1 else ["red", "green", "blue"]
    heads = ["value", "d/dx", "d/dy", "Laplacian"][: (1, 3, 4)[jet.order]]
    lines = [f"{name}: {unit}" for name, unit in units.items()]
    lines.append(f"{'column':>10} {'row':>10}  {'channel':7}" + "".join(f" {head:>12}" for head in heads))
    for i, (column, row) in enumerate(points):
        for c, name in enumerate(names):
            numbers = [jet.value[i, c]]
            numbers += [] if jet.gradient is None else jet.gradient[i, c]
            numbers += [] if jet.laplacian is None else [jet.laplacian[i, c]]
            lines.append(f"{column:10g} {row:10g}  {name:7}" + "".join(f" {float(x):12.6g}" for x in numbers))
    return "\n".join(lines)


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
