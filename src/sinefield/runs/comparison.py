"""Two runs of one configuration: whether they are the same to the last bit and, if not, what differs by how much."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sinefield.training.checkpoints import read

COSTS = ("fit_seconds", "wall_seconds", "steps_per_second", "peak_memory_mb", "command")  # never the same twice
PLACE = ("device", "versions", "git_commit", "extended_at")  # what may explain a difference


def compare(one: str | Path, other: str | Path) -> dict[str, Any]:
    """What differs between the folders of two finished runs, costs left aside; `UserError` for a broken checkpoint.

    Returns:
        identical: whether the next three are empty;
        metrics: {name: [of one, of other]};
        history: the steps of the evaluations that differ;
        weights: {checkpoint/tensor: the largest difference of its entries}, None where they have no common shape;
        place: {name: [of one, of other]}, what may explain it: the device, versions, the commit.
    """
    folders = (Path(one), Path(other))
    metrics = _differing(*(json.loads((folder / "metrics.json").read_text()) for folder in folders))
    place = {name: metrics.pop(name) for name in PLACE if name in metrics}
    tensors = _differing(*_weights(*folders))
    weights = {
        name: None if a is None or b is None or a.shape != b.shape else (a - b).abs().max().item()
        for name, (a, b) in tensors.items()
    }
    differences = {"metrics": metrics, "history": sorted(_differing(*map(_history, folders))), "weights": weights}
    return {"identical": not any(differences.values()), **differences, "place": place}


def summary(differences: dict[str, Any]) -> str:
    """`compare`'s result in a line."""
    if differences["identical"]:
        return "identical: every weight, score and row of the history"
    scores = [f"{name} {a} -> {b}" for name, (a, b) in differences["metrics"].items()]
    steps = [f"evaluations from step {step} on" for step in differences["history"][:1]]
    distances = [value for value in differences["weights"].values() if value is not None]
    weights = [f"weights by up to {max(distances):.3g}"] if distances else []
    place = [f"made with another {name}" for name in differences["place"]]
    return "differs: " + "; ".join([*scores, *steps, *weights, *place])


def _differing(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, list[Any]]:
    """The entries that are not the same in both; None for one that is missing."""
    pairs = {key: [one.get(key), other.get(key)] for key in one | other if key not in COSTS}
    return {key: pair for key, pair in pairs.items() if not _same(*pair)}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def _history(folder: Path) -> dict[int, dict[str, str]]:
    rows = csv.DictReader((folder / "history.csv").read_text().splitlines())
    return {int(row["step"]): {name: value for name, value in row.items() if name != "seconds"} for row in rows}


def _weights(*folders: Path) -> list[dict[str, Tensor]]:
    """The tensors of the checkpoints that all folders have; a field of a stack has no best.ckpt."""
    files = [Path("checkpoints", f"{name}.ckpt") for name in ("last", "best")]
    common = [file for file in files if all((folder / file).is_file() for folder in folders)]
    return [
        {f"{file.stem}/{key}": tensor for file in common for key, tensor in read(folder / file)["state_dict"].items()}
        for folder in folders
    ]
