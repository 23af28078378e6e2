"""Measures sinefield on this machine: `python scripts/benchmark.py steps cases=[value,gradient] repeats=5`."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from sinefield.errors import integer, require
from sinefield.report.markdown import table
from sinefield.system.script import parse, run

ROOT = Path(__file__).resolve().parents[1]
CONF, TRAIN = ROOT / "conf", ROOT / "train.py"

USAGE = """\
Measures sinefield on this machine, prints a table, and writes its rows to out=FILE.json where that is given.

  python scripts/benchmark.py steps cases=[value,gradient] repeats=5
  python scripts/benchmark.py compression pictures=[kodim15.png] rates=[0.3,0.6]
  python scripts/benchmark.py quality pictures=[skimage:camera] budgets=[290] thresholds=[30,35,40] experiment=fast
  python scripts/benchmark.py overhead logger=none

quality, scale and overhead run train.py, and take its knobs as well: field.width=64, experiment=fast.
"""
OPTIONS = {
    "steps": """\
# What an optimiser step costs, against nested autograd and another package.
cases: [value, gradient, laplacian, sobolev]
channels: [1, 3]      # 1 for grey, 3 for RGB
points: 65536
width: 256
depth: 3              # hidden layers behind the first
repeats: 5            # steps of each kind, of which the median counts
device: cpu           # or cuda
out: null             # a JSON file for the rows
""",
    "fields": """\
# What a step of many fields at once costs, against one after the other.
cases: [value]        # of value, gradient, laplacian, sobolev
counts: [1, 4, 16, 64] # fields at once
points: 4096
width: 256
depth: 3
repeats: 5
device: cpu
out: null
""",
    "shapes": """\
# What a step on a signed distance function costs, against nested autograd.
cases: [sdf, digs]
points: 16384
width: 256
depth: 3
repeats: 5
device: cpu
out: null
""",
    "quality": """\
# How soon a picture is fitted, against the paper's recipe.
pictures: [skimage:camera, skimage:astronaut]
budgets: [150, 400, 1000] # steps of the default recipe
bound: 1800.0         # seconds for the paper's recipe, per picture
repeats: 3            # runs of the default, of which the median counts
thresholds: [30.0, 35.0, 40.0, 45.0, 50.0] # dB; the paper's recipe is stopped at the highest
out: null
""",
    "between": """\
# What priors have between the samples, against spline, bicubic, Lanczos and edge-directed interpolation.
pictures: [skimage:camera, skimage:astronaut, skimage:chelsea, skimage:coffee]
priors: [natural]     # names or files; of the first also derivatives and the mean over eight turns
crop: null            # pixels along each side of the middle that is taken; null: all
symmetric: true       # the mean over eight turns, which takes eight times as long
out: null
""",
    "compression": """\
# What small files hold, against JPEG and WebP of the same size and COIN's published mean over Kodak.
pictures: [skimage:astronaut, skimage:chelsea] # and kodim15.png, kodim23.png where you have them
rates: [0.15, 0.3, 0.6] # bits per pixel
block: 32             # samples along a side of a block of waves
out: null
""",
    "scale": """\
# What a step costs as picture, network and number of points grow.
sides: [256, 1024, 4096, 16384] # pixels of the picture
widths: [64, 128, 256, 512]
depths: [1, 3, 6]     # hidden layers behind the first
points: [1024, 4096, 16384, 65536] # per step
losses: [value, laplacian]
steps: 20             # per run, of which the median counts
plot: null            # a PNG for the same as curves
out: null
""",
    "overhead": """\
# What comes with a step: start-up, Lightning's loop, evaluations.
steps: 550            # of the run whose every step is taken by both loops
repeats: 3            # starts, of which the median counts
out: null
""",
}
CHOICES = {"cases": ("value", "gradient", "laplacian", "sobolev", "sdf", "digs"), "device": ("cpu", "cuda")}


def main(arguments: list[str]) -> None:
    """Measure what the arguments say."""
    command, *more = arguments
    require(command in OPTIONS, f"there is no {command}; choose from: {', '.join(OPTIONS)}")
    runs = command in ("quality", "scale", "overhead")
    options, overrides = parse(more, OPTIONS[command], ("out", "plot"), CHOICES, _is_knob if runs else None)
    for name, value in options.items():
        for number in value if isinstance(value, list) else [value]:
            if type(number) is int:
                integer(name, number, least=0 if name in ("depth", "depths") else 1)
    out = options.pop("out")
    measure: dict[str, Callable[..., Iterable[dict[str, Any]]]] = {
        "quality": measure_quality,
        "scale": measure_scale,
        "overhead": measure_overhead,
        "shapes": measure_shapes,
        "between": measure_between,
        "compression": measure_compression,
    }
    found = list(measure.get(command, measure_steps)(**options, **({"overrides": overrides} if runs else {})))
    print(table(found))
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps(found, indent=2) + "\n")


def _is_knob(argument: str) -> bool:
    """Whether it is one of train.py's: a group of conf/, an entry of conf/train.yaml, or one in a table."""
    key = argument.partition("=")[0].lstrip("+~")
    entries = yaml.safe_load((CONF / "train.yaml").read_text())
    return "." in key or "/" in key or key in entries or (CONF / key).is_dir()


def measure_steps(**options: Any) -> Iterable[dict[str, Any]]:
    """A row per case, channels and path, or of many fields where `counts` are given."""
    import torch  # noqa: PLC0415  --help needs none of these

    from sinefield.benchmarks import steps  # noqa: PLC0415
    from sinefield.training.environment import environment  # noqa: PLC0415

    network = {name: options.pop(name) for name in ("points", "width", "depth", "device")}
    print(environment(torch.device(network["device"]))["device"], flush=True)
    return (steps.stack_rows if "counts" in options else steps.rows)(steps.Problem("value", **network), **options)


def measure_shapes(**options: Any) -> Iterable[dict[str, Any]]:
    """A row per case."""
    from sinefield.benchmarks import shapes  # noqa: PLC0415  --help needs none of it

    require(set(options["cases"]) <= set(shapes.CASES), f"cases of shapes are {', '.join(shapes.CASES)}")
    return shapes.rows(**options)


def measure_between(**options: Any) -> Iterable[dict[str, Any]]:
    """A row per picture, and their means."""
    from sinefield.benchmarks import between  # noqa: PLC0415  --help needs none of it

    return between.rows(**options)


def measure_compression(**options: Any) -> Iterable[dict[str, Any]]:
    """A row per picture and rate."""
    from sinefield.benchmarks import compression  # noqa: PLC0415  --help needs none of it

    return compression.rows(**options)


def measure_quality(pictures: list[str], overrides: list[str], **options: Any) -> Iterable[dict[str, Any]]:
    """The rows of all pictures, with train.py's own configuration for the default."""
    import torch  # noqa: PLC0415
    from hydra import compose, initialize_config_dir  # noqa: PLC0415

    from sinefield.benchmarks import quality  # noqa: PLC0415
    from sinefield.runs.configuration import build, normalise_config  # noqa: PLC0415
    from sinefield.runs.train import train  # noqa: PLC0415
    from sinefield.training.environment import environment  # noqa: PLC0415

    print(environment(torch.device("cpu"))["device"], flush=True)
    options["thresholds"].sort()
    with initialize_config_dir(str(CONF), version_base="1.3"), tempfile.TemporaryDirectory() as scratch:
        for picture in pictures:
            chosen = [*overrides, f"signal.path='{picture}'", "logger=none", "trainer.accelerator=cpu"]

            def default(steps: int, chosen: list[str] = chosen) -> quality.History:
                folder = Path(tempfile.mkdtemp(dir=scratch)) / "run"
                every = max(1, steps // 20)  # the caches are cold after an evaluation, which slows the steps behind it
                train(compose("train", [*chosen, f"trainer.max_steps={steps}", f"data.eval_every={every}"]), folder)
                with (folder / "history.csv").open() as file:
                    return [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)]

            config = compose("train", chosen)
            normalise_config(config)
            yield from quality.rows(Path(picture).name, build(config.signal), default, **options)


def measure_scale(
    sides: list[int], widths: list[int], depths: list[int], points: list[int], plot: str | None, **options: Any
) -> Iterable[dict[str, Any]]:
    """A row per knob, value and loss, and a plot of them."""
    from sinefield.benchmarks import scale  # noqa: PLC0415

    grown = {scale.SIDE: sides, "width": widths, "depth": depths, "points": points}
    with tempfile.TemporaryDirectory() as scratch:
        found = list(scale.rows(TRAIN, Path(scratch), grown, **options))
    if plot is not None:
        scale.plot(found, Path(plot))
    return found


def measure_overhead(**options: Any) -> Iterable[dict[str, Any]]:
    """A row for the start, the steps and the evaluations."""
    from sinefield.benchmarks.runs import overhead_rows  # noqa: PLC0415

    return overhead_rows(TRAIN, **options)


if __name__ == "__main__":
    run(main, "\n".join([USAGE, *(f"{command}\n{options}" for command, options in OPTIONS.items())]))
