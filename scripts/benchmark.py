"""Measure: `python scripts/benchmark.py steps`; `--help` says what else there is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sinefield.errors import UserError


def main(arguments: list[str]) -> None:
    """Measure what the arguments say; print a table, and write the rows where --out says."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    steps = commands.add_parser("steps", help="what an optimiser step costs, against nested autograd and the peers")
    steps.add_argument("--cases", nargs="+", choices=("value", "gradient", "laplacian", "sobolev"))
    steps.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"))
    steps.add_argument("--channels", nargs="+", type=int)
    steps.add_argument("--points", type=int, default=65_536)
    steps.add_argument("--width", type=int, default=256)
    steps.add_argument("--depth", type=int, default=3)
    steps.add_argument("--repeats", type=int, default=5)
    steps.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    for command in (steps,):
        command.add_argument("--out", type=Path, help="a JSON file for the rows")
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    found = {"steps": measure_steps}[options.pop("command")](**options)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")


def measure_steps(
    points: int, width: int, depth: int, device: str, repeats: int, **chosen: Any
) -> list[dict[str, Any]]:
    """The rows of `sinefield.benchmarks.steps`."""
    import torch  # noqa: PLC0415  --help needs no torch

    from sinefield.benchmarks import paths, steps  # noqa: PLC0415
    from sinefield.environment import environment  # noqa: PLC0415

    problem = paths.Problem("value", points=points, width=width, depth=depth, device=device)
    print(environment(torch.device(device))["device"], flush=True)
    given = {name: tuple(value) for name, value in chosen.items() if value is not None}
    found = list(steps.rows(problem, **given, repeats=repeats))
    print(steps.table(found))
    return found


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as mistake:
        sys.exit(f"error: {mistake}")
