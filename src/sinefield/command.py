"""What `python train.py` does with a configuration, at a terminal or as a job of a sweep."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from sinefield import checkpoints, saved
from sinefield.configuration import anchor_paths
from sinefield.environment import leading
from sinefield.errors import UserError, require, whole
from sinefield.files import UnwritableError, remove_drafts, write_whole, writing
from sinefield.fingerprints import require_unchanged
from sinefield.folders import hydra_texts, new_folder
from sinefield.interrupts import Interrupted
from sinefield.lock import wait_until_free
from sinefield.rank import set_rank
from sinefield.repeats import compare, said
from sinefield.run import train
from sinefield.script import accept_any_character
from sinefield.state import read
from sinefield.streams import unfailing_output

REPORT = "repeat.json"  # marks a run as the repetition of another, and says in the end what came out differently


@unfailing_output()
def main(config: DictConfig, folder: Path) -> float:
    """`train`, with what a person at a terminal wants to see; the PSNR in dB, for sweepers.

    A job of a sweep that was interrupted goes on where it stood; one that failed starts anew.

    Raises:
        CompactHydraException: a `UserError`, as Hydra's own mistakes are told; a job of a sweep ends no others by it.
    """
    accept_any_character()  # a launcher's worker has its own standard output
    alone = HydraConfig.get().mode == RunMode.RUN
    worker = multiprocessing.current_process().name != "MainProcess"
    if worker:
        _end_with_parent()
    try:
        with _told(folder):
            if HydraConfig.get().job.chdir:
                anchor_paths(config.get("signal"), Path(HydraConfig.get().runtime.cwd))
            again = not alone and read(folder)["state"] in ("interrupted", "killed")
            texts = hydra_texts(config, cast("DictConfig", HydraConfig.instance().cfg))
            metrics = train(config, folder, again, alone, texts)
    except Interrupted as signalled:
        if worker:  # of a pool, which would give it the next job, and kills the other workers when this one ends:
            wait_until_free(folder.parent.glob("*/"))  # they have been told as well, and write their checkpoints
            sys.stderr.flush()
            os._exit(int(str(signalled.code)))
        raise
    _show(metrics, folder)
    return float(metrics["psnr"])


def _end_with_parent() -> None:
    """On Linux, have the kernel send SIGTERM to this worker when its parent dies, of whatever cause.

    One that is dead already leaves nobody to give this worker's result to; joblib's would wait five minutes for more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG of <sys/prctl.h>
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid != os.getppid():
            os._exit(128 + signal.SIGTERM)


@unfailing_output()
def resume(folder: str | Path, trust: Collection[str] = (), max_steps: int | None = None) -> None:
    """Go on with an interrupted run in its own folder, with its own saved configuration; what is said is `main`'s.

    A repetition is compared in the end, where it has not been.

    Args:
        folder: the run folder.
        trust: packages beside this one whose classes its configuration may ask for.
        max_steps: steps in all, where they shall be others than the run began with; a finished run takes more.
    """
    folder = Path(folder)
    with _told(folder):
        finished, of = read(folder)["state"] == "finished", _repeated(folder)
        nothing = f"{folder} is finished; there is nothing to resume, unless trainer.max_steps=… makes it longer"
        require(of is not None or max_steps is not None or not finished, nothing)
        config, texts = saved.read(folder, trust), dict[str, str]()
        if max_steps is not None:
            require(of is None, f"{folder} repeats {of} and takes as many steps; resume={folder} alone goes on")
            step = _steps_taken(folder)
            require(max_steps >= step + finished, f"{folder} has taken {step} steps; give trainer.max_steps more")
            config, texts = saved.lengthened(folder, max_steps, trust)
        set_rank(config)
        if max_steps is not None or not finished:
            metrics = _train_where_started(config, folder, texts)
            _show(metrics, folder)
        if of is not None and max_steps is None and leading():
            _report(folder, of)


def _steps_taken(folder: Path) -> int:
    """By a run's last checkpoint, which must be one that a run of more steps can begin with."""
    file = folder / "checkpoints" / "last.ckpt"
    found = checkpoints.read(file)
    with checkpoints.belonging(file):
        step = whole("its step", found["global_step"], least=1)
        require("max_steps" in found["found"], f"{file} is of an older version, which cannot be made longer")
    return step


def _train_where_started(config: DictConfig, folder: Path, texts: dict[str, str]) -> dict[str, Any]:
    """Go on, with the relative paths of pictures as they were meant where the run was started."""
    try:
        return train(saved.located(config, folder), folder, resume=True, texts=texts)
    except UserError as error:
        start = saved.started_in(folder)
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
    with _told():
        config = saved.read(folder, trust)
        require(
            read(folder)["state"] == "finished",
            f"{folder} is not finished, so there is nothing to compare with; resume={folder} goes on with it",
        )
        require_unchanged(folder)
        several = set_rank(config)
        if into is None:
            name = str(config.get("name", "fit"))
            into = Path("outputs", name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))  # as conf/train.yaml
            if not several:
                with writing(into):
                    into = new_folder(into)
            sys.argv.append(f"hydra.run.dir={into}")  # for the further processes of this run, which Lightning starts so
        elif leading():
            require(not into.exists(), f"{into} is there already; choose another hydra.run.dir")
            with writing(into):
                into.mkdir(parents=True)
        if leading():  # they find the folder, and go on in it with this one
            with writing(into):
                into.mkdir(parents=True, exist_ok=True)
                if (folder / ".hydra").is_dir():  # what was typed, for the dashboard
                    shutil.copytree(folder / ".hydra", into / ".hydra")
            write_whole(into / REPORT, json.dumps({"of": str(folder.resolve())}).encode())
            write_whole(into / "config.yaml", OmegaConf.to_yaml(config).encode())
    resume(into, trust)


def _repeated(folder: Path) -> Path | None:
    """The run that the one in this folder repeats, unless they have been compared."""
    file = folder / REPORT
    try:
        found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"identical": None}
        return None if "identical" in found else Path(found["of"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{file} does not say what is repeated; remove it, and nothing will be compared") from error


def _report(folder: Path, of: Path) -> None:
    """Compare a finished repetition with what it repeats; what a killed process was writing is removed."""
    remove_drafts(folder)
    require(read(of)["state"] == "finished", f"{of}, which this run repeats, is gone; there is nothing to compare")
    differences = compare(of, folder)
    write_whole(folder / REPORT, (json.dumps({"of": str(of), **differences}, indent=2) + "\n").encode())
    print(f"repeats            {of}", said(differences), sep="\n")


@contextmanager
def _told(folder: Path | None = None) -> Iterator[None]:
    """Raise a `UserError` as Hydra's own mistakes are; where the run in `folder` can go on later, say how."""
    try:
        yield
    except UserError as error:
        begun = folder is not None and any((folder / name).is_file() for name in ("config.yaml", ".hydra/config.yaml"))
        resumable = begun and isinstance(error, UnwritableError)
        later = f"; once that is mended, resume={folder} goes on where it stood" if resumable else ""
        raise CompactHydraException(f"{error}{later}") from error


def _show(metrics: dict[str, Any], folder: Path) -> None:
    if leading():
        print(table(metrics), f"run folder         {folder}", sep="\n")


def table(metrics: dict[str, Any]) -> str:
    """The results in short, a line each."""

    def row(name: str, key: str, form: str) -> str:
        value = metrics[key]
        return f"{name:18} {'-' if value is None else format(value, form)}"

    several = [row("means of fields", "fields", "d")] if "fields" in metrics else []
    return "\n".join(
        [
            *several,
            row("PSNR on samples", "psnr", ".2f") + " dB",
            row("PSNR between", "psnr_off_grid", ".2f") + (" dB" if metrics["psnr_off_grid"] is not None else ""),
            row("  of the spline", "psnr_off_grid_spline", ".2f")
            + (" dB" if metrics["psnr_off_grid_spline"] is not None else ""),
            row("SSIM", "ssim", ".4f"),
            row("loss", "loss", ".3e"),
            row("steps", "steps", "d")
            + f" in {metrics['fit_seconds']:.1f} s, {metrics['steps_per_second']:.1f} per second",
            row("parameters", "parameters", ",d"),
            row("peak memory", "peak_memory_mb", ",.0f") + " MB",
        ]
    )
