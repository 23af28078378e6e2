"""An interrupted run goes on, a finished one takes more steps, or is run once more and compared."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sinefield.errors import UserError, integer, require
from sinefield.runs import trusted_config
from sinefield.runs.command import reraise_for_hydra, show
from sinefield.runs.comparison import compare, summary
from sinefield.runs.configuration import anchor_paths
from sinefield.runs.fingerprints import require_unchanged
from sinefield.runs.folders import new_folder
from sinefield.runs.train import train
from sinefield.runs.trainer import set_rank
from sinefield.system.files import remove_temporary_files, write_atomically, writing
from sinefield.system.status import read
from sinefield.system.streams import unfailing_output
from sinefield.training import checkpoints
from sinefield.training.environment import is_rank_zero

REPORT = "repeat.json"  # marks a run as the repetition of another, and says in the end what came out differently


@unfailing_output()
def resume(folder: str | Path, trust: Collection[str] = (), max_steps: int | None = None) -> None:
    """Go on with an interrupted run in its own folder, with its own saved configuration, and print as `main` does.

    A repetition is compared in the end, where it has not been.

    Args:
        folder: the run folder.
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

    Args:
        folder: of the finished run.
        into: the new folder; None for the usual place. Interrupted, it is resumed as any other.
        trust: as for `resume`.
    """
    folder, into = Path(folder), None if into is None else Path(into)
    with reraise_for_hydra():
        config = trusted_config.read(folder, trust)
        nothing = "is not finished, so there is nothing to compare with"
        require(read(folder)["state"] == "finished", f"{folder} {nothing}; resume={folder} goes on with it")
        require_unchanged(folder)
        several = set_rank(config)
        if into is None:
            name = str(config.get("name", "fit"))
            into = Path("outputs", name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))  # as conf/train.yaml
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
