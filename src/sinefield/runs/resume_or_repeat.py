"""An interrupted run goes on, a finished one takes more steps, or is run once more and compared."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from sinefield.errors import UserError, integer, require
from sinefield.runs import trusted_config
from sinefield.runs.command import reraise_for_hydra, show
from sinefield.runs.configuration import anchor_paths
from sinefield.runs.fingerprints import require_unchanged
from sinefield.runs.folders import new_folder, usual_folder
from sinefield.runs.train import train
from sinefield.runs.trainer import set_rank
from sinefield.system.files import remove_temporary_files, write_atomically, writing
from sinefield.system.status import read
from sinefield.system.streams import unfailing_output
from sinefield.training import checkpoints
from sinefield.training.environment import is_rank_zero

REPORT = "repeat.json"  # marks a run as the repetition of another, and says in the end what came out differently
COSTS = ("fit_seconds", "wall_seconds", "steps_per_second", "peak_memory_mb", "command")  # never the same twice
PLACE = ("device", "versions", "git_commit", "extended_at")  # what may explain a difference


@unfailing_output()
def resume(folder: str | Path, trust: Collection[str] = (), max_steps: int | None = None) -> None:
    """Go on with an interrupted run in its own folder, with its own saved configuration, and print as `main` does.

    A repetition is compared in the end, where it has not been.

    Args:
        trust: packages beside this one whose classes its configuration may ask for.
        max_steps: steps in all, where they shall be others than the run began with; a finished run takes more.
    """
    folder = Path(folder)
    with reraise_for_hydra(folder):
        finished, original = read(folder)["state"] == "finished", _repeated(folder)
        nothing = f"{folder} is finished; there is nothing to resume, unless trainer.max_steps=… makes it longer"
        require(original is not None or max_steps is not None or not finished, nothing)
        config, texts = trusted_config.read(folder, trust), dict[str, str]()
        if max_steps is not None:
            steps = f"{folder} repeats {original} and takes as many steps; resume={folder} alone goes on"
            require(original is None, steps)
            step = _steps_taken(folder)
            require(max_steps >= step + finished, f"{folder} has taken {step} steps; give trainer.max_steps more")
            config, texts = trusted_config.lengthened(folder, max_steps, trust)
        set_rank(config)
        if max_steps is not None or not finished:
            show(_train_where_started(config, folder, texts), folder)
        if original is not None and is_rank_zero():
            _report(folder, original)


def _steps_taken(folder: Path) -> int:
    """By a run's last checkpoint, which must be one that a run of more steps can begin with."""
    file = folder / "checkpoints" / "last.ckpt"
    found = checkpoints.read(file)
    with checkpoints.belonging(file):
        step = integer("its step", found["global_step"], least=1)
        require("max_steps" in found["found"], f"{file} is of an older version, which cannot be made longer")
    return step


def _train_where_started(config: DictConfig, folder: Path, texts: dict[str, str]) -> dict[str, Any]:
    """Go on, with the relative paths of pictures as they were meant where the run was started."""
    start = trusted_config.started_in(folder)
    if start is not None:
        anchor_paths(config, Path(start), missing_here=True)
    try:
        return train(config, folder, resume=True, texts=texts)
    except UserError as error:
        if "does not exist" not in str(error) or start in (None, os.getcwd()):
            raise
        raise type(error)(f"{error}; the run was started in {start}, to which relative paths refer") from error


def repeat(folder: str | Path, into: str | Path | None, trust: Collection[str] = ()) -> None:
    """Run a finished run's exact configuration once more; repeat.json and a line say what came out differently.

    It goes into a new folder, where None is given one in the usual place. Interrupted, it is resumed as any other run.
    """
    folder, into = Path(folder), None if into is None else Path(into)
    with reraise_for_hydra():
        config = trusted_config.read(folder, trust)
        nothing = "is not finished, so there is nothing to compare with"
        require(read(folder)["state"] == "finished", f"{folder} {nothing}; resume={folder} goes on with it")
        require_unchanged(folder)
        several = set_rank(config)
        if into is None:
            into = usual_folder(str(config.get("name", "fit")))
            if not several:
                with writing(into):
                    into = new_folder(into)
            sys.argv.append(f"hydra.run.dir={into}")  # for the further processes of this run, which Lightning starts so
        elif is_rank_zero():
            require(not into.exists(), f"{into} is there already; choose another hydra.run.dir")
        if is_rank_zero():  # they find the folder, and go on in it with this one
            with writing(into):
                into.mkdir(parents=True, exist_ok=True)
                if (folder / ".hydra").is_dir():  # what was typed, for the dashboard
                    shutil.copytree(folder / ".hydra", into / ".hydra")
            write_atomically(into / REPORT, json.dumps({"of": str(folder.resolve())}).encode())
            write_atomically(into / "config.yaml", OmegaConf.to_yaml(config).encode())
    resume(into, trust)


def _repeated(folder: Path) -> Path | None:
    """The run that the one in this folder repeats, unless they have been compared."""
    file = folder / REPORT
    try:
        report: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"identical": None}
        return None if "identical" in report else Path(report["of"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{file} does not say what is repeated; remove it, and nothing will be compared") from error


def _report(folder: Path, original: Path) -> None:
    """Compare a finished repetition with what it repeats; what a killed process was writing is removed."""
    remove_temporary_files(folder)
    require(read(original)["state"] == "finished", f"{original}, which this run repeats, is gone; nothing is compared")
    differences = compare(original, folder)
    report = {"of": str(original), **differences}
    write_atomically(folder / REPORT, (json.dumps(report, indent=2) + "\n").encode())
    print(f"repeats            {original}", summary(differences), sep="\n")


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
    states = [{file.stem: checkpoints.read(folder / file)["state_dict"] for file in common} for folder in folders]
    return [{f"{file}/{key}": state[file][key] for file in state for key in state[file]} for state in states]
