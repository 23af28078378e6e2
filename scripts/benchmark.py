"""Measure sinefield on this machine; every table is printed, and its rows written as JSON where --out says."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sinefield.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CONF, TRAIN = ROOT / "conf", ROOT / "train.py"


def main(arguments: list[str]) -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    steps = commands.add_parser("steps", help="what an optimiser step costs, against nested autograd and the peers")
    steps.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"))
    steps.add_argument("--channels", nargs="+", type=int, help="1 for grey, 3 for RGB")

    fields = commands.add_parser("fields", help="what a step of many fields at once costs, against one after the other")
    fields.add_argument("--counts", nargs="+", type=int, help="fields at once")

    for command, module, points in ((steps, "steps", 65_536), (fields, "fields", 4096)):
        command.add_argument("--cases", nargs="+", choices=("value", "gradient", "laplacian", "sobolev"))
        command.add_argument("--points", type=int, default=points)
        command.add_argument("--width", type=int, default=256)
        command.add_argument("--depth", type=int, default=3, help="hidden layers behind the first")
        command.add_argument("--repeats", type=int, default=5, help="steps of each kind, of which the median counts")
        command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
        command.set_defaults(measure=partial(measure_steps, f"sinefield.benchmarks.{module}"))

    quality = commands.add_parser("quality", help="how soon a picture is fitted, against the paper's recipe")
    quality.add_argument("--pictures", nargs="+", default=["skimage:camera", "skimage:astronaut"])
    quality.add_argument("--budgets", nargs="+", type=int, default=[150, 400, 1000], help="steps of the default recipe")
    quality.add_argument("--bound", type=float, default=1800, help="seconds for the paper's recipe, per picture")
    quality.add_argument("--repeats", type=int, default=3, help="runs of the default, of which the median counts")
    quality.add_argument("--thresholds", nargs="+", type=float, help="dB; the paper's recipe is stopped at the highest")
    quality.add_argument("overrides", nargs="*", help="of both recipes' picture and the default's run: signal.size=128")
    quality.set_defaults(measure=measure_quality)

    scale = commands.add_parser("scale", help="what a step costs as picture, network and number of points grow")
    scale.add_argument("--sides", nargs="*", type=int, default=[256, 1024, 4096, 16384], help="pixels of the picture")
    scale.add_argument("--widths", nargs="*", type=int, default=[64, 128, 256, 512])
    scale.add_argument("--depths", nargs="*", type=int, default=[1, 3, 6], help="hidden layers behind the first")
    scale.add_argument("--points", nargs="*", type=int, default=[1024, 4096, 16384, 65536], help="per step")
    scale.add_argument("--losses", nargs="+", default=["value", "laplacian"])
    scale.add_argument("--steps", type=int, default=20, help="per run, of which the median counts")
    scale.add_argument("--plot", type=Path, help="a PNG for the same as curves")
    scale.add_argument("overrides", nargs="*", help="of all runs: trainer.accelerator=cpu")
    scale.set_defaults(measure=measure_scale)

    overhead = commands.add_parser("overhead", help="what comes with a step: start-up, Lightning's loop, evaluations")
    overhead.add_argument("--steps", type=int, default=550, help="of the run whose every step is taken by both loops")
    overhead.add_argument("--repeats", type=int, default=3, help="starts, of which the median counts")
    overhead.add_argument("overrides", nargs="*", help="of the runs: logger=none")
    overhead.set_defaults(measure=measure_overhead)

    for command in (steps, quality, fields, scale, overhead):
        command.add_argument("--out", type=Path, help="a JSON file for the rows")
    options = vars(parser.parse_args(arguments))
    del options["command"]
    out, measure = options.pop("out"), options.pop("measure")
    found = measure(**options)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")


def measure_steps(
    module: str, points: int, width: int, depth: int, device: str, repeats: int, **chosen: list[Any] | None
) -> list[dict[str, Any]]:
    """The rows of a module that measures steps."""
    import torch  # noqa: PLC0415  --help needs none of these

    from sinefield.benchmarks import paths  # noqa: PLC0415
    from sinefield.training.environment import environment  # noqa: PLC0415

    problem = paths.Problem("value", points=points, width=width, depth=depth, device=device)
    print(environment(torch.device(device))["device"], flush=True)
    given: dict[str, Any] = {name: tuple(value) for name, value in chosen.items() if value is not None}
    measuring = import_module(module)
    found = list(measuring.rows(problem, **given, repeats=repeats))
    print(measuring.table(found))
    return found


def measure_quality(
    pictures: list[str],
    budgets: list[int],
    bound: float,
    repeats: int,
    thresholds: list[float] | None,
    overrides: list[str],
) -> list[dict[str, Any]]:
    """The rows of `sinefield.benchmarks.quality`, with train.py's own configuration for the default tuned."""
    import torch  # noqa: PLC0415
    from hydra import compose, initialize_config_dir  # noqa: PLC0415

    from sinefield.benchmarks import quality  # noqa: PLC0415
    from sinefield.runs.configuration import build, normalise_config  # noqa: PLC0415
    from sinefield.runs.train import train  # noqa: PLC0415
    from sinefield.training.environment import environment  # noqa: PLC0415

    print(environment(torch.device("cpu"))["device"], flush=True)
    found = []
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
            marks = sorted(thresholds or quality.THRESHOLDS)
            found += quality.rows(picture, build(config.signal), default, budgets, bound, repeats, marks)
            print(quality.table(found), flush=True)
    return found


def measure_scale(
    sides: list[int],
    widths: list[int],
    depths: list[int],
    points: list[int],
    losses: list[str],
    steps: int,
    plot: Path | None,
    overrides: list[str],
) -> list[dict[str, Any]]:
    """The rows of `sinefield.benchmarks.scale`."""
    from sinefield.benchmarks import scale  # noqa: PLC0415

    grown = {scale.SIDE: sides, "width": widths, "depth": depths, "points": points}
    with tempfile.TemporaryDirectory() as scratch:
        found = list(scale.rows(TRAIN, Path(scratch), grown, losses, overrides, steps))
    print(scale.table(found))
    if plot is not None:
        scale.plot(found, plot)
    return found


def measure_overhead(steps: int, repeats: int, overrides: list[str]) -> list[dict[str, Any]]:
    """The rows of `sinefield.benchmarks.overhead`."""
    from sinefield.benchmarks import overhead  # noqa: PLC0415

    found = overhead.rows(TRAIN, overrides, steps, repeats)
    print(overhead.table(found))
    return found


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as mistake:
        sys.exit(f"error: {mistake}")
