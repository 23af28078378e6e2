"""What `python train.py` does with a configuration, at a terminal or as a job of a sweep, and what it prints."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from sinefield.errors import UserError
from sinefield.evaluation.base import Score
from sinefield.runs.configuration import anchor_paths
from sinefield.runs.folders import hydra_texts
from sinefield.runs.train import train
from sinefield.system.files import UnwritableError
from sinefield.system.lock import wait_until_free
from sinefield.system.script import accept_any_character
from sinefield.system.shutdown import Interrupted
from sinefield.system.status import read
from sinefield.system.streams import unfailing_output
from sinefield.training.environment import is_rank_zero


@unfailing_output()
def main(config: DictConfig, folder: Path) -> float:
    """`train`, with what a person at a terminal wants to see; the score that the run is judged by, for sweepers.

    A job of a sweep that was interrupted goes on where it stood; one that failed starts anew.

    Raises:
        CompactHydraException: a `UserError`, as Hydra reports its own mistakes; a job of a sweep ends no others by it.
    """
    accept_any_character()  # a launcher's worker has its own standard output
    alone = HydraConfig.get().mode == RunMode.RUN
    worker = multiprocessing.current_process().name != "MainProcess"
    if worker:
        _end_with_parent()
    try:
        with reraise_for_hydra(folder):
            if HydraConfig.get().job.chdir:
                anchor_paths(config, Path(HydraConfig.get().runtime.cwd))
            resume = not alone and read(folder)["state"] in ("interrupted", "killed")
            texts = hydra_texts(config, cast("DictConfig", HydraConfig.instance().cfg))
            metrics = train(config, folder, resume, alone, texts)
    except Interrupted as signalled:
        if worker:  # of a pool, which would give it the next job, and kills the other workers when this one ends:
            wait_until_free(folder.parent.glob("*/"))  # they have the signal as well, and write their checkpoints
            sys.stderr.flush()
            os._exit(int(str(signalled.code)))
        raise
    show(metrics, folder)
    return float(metrics[metrics["monitor"]["name"]])


def _end_with_parent() -> None:
    """On Linux, have the kernel send SIGTERM to this worker when its parent dies, of whatever cause.

    One that is dead already leaves nobody to give this worker's result to; joblib's would wait five minutes for more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG of <sys/prctl.h>
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid != os.getppid():
            os._exit(128 + signal.SIGTERM)


@contextmanager
def reraise_for_hydra(folder: Path | None = None) -> Iterator[None]:
    """Raise a `UserError` as Hydra raises its own; where the run in `folder` can go on later, say how."""
    try:
        yield
    except UserError as error:
        begun = folder is not None and any((folder / name).is_file() for name in ("config.yaml", ".hydra/config.yaml"))
        resumable = begun and isinstance(error, UnwritableError)
        later = f"; once that is mended, resume={folder} goes on where it stood" if resumable else ""
        raise CompactHydraException(f"{error}{later}") from error


def show(metrics: dict[str, Any], folder: Path) -> None:
    """Print the results of a finished run, by the process that speaks for it."""
    if is_rank_zero():
        print(table(metrics), f"run folder         {folder}", sep="\n")


def table(metrics: dict[str, Any]) -> str:
    """The results in short, a line each."""
    shown = [Score(**score) for score in metrics["shown"]]
    speed = f"{metrics['fit_seconds']:.1f} s, {metrics['steps_per_second']:.1f} per second"
    rows = {
        **({"means of fields": f"{metrics['fields']}"} if "fields" in metrics else {}),
        **{score.name: score.text(metrics[score.key]) for score in shown},
        "loss": f"{metrics['loss']:.3e}",
        "steps": f"{metrics['steps']} in {speed}",
        "parameters": f"{metrics['parameters']:,d}",
        "peak memory": f"{metrics['peak_memory_mb']:,.0f} MB",
    }
    width = max(18, *map(len, rows))  # as wide as "run folder", which follows
    return "\n".join(f"{name:{width}} {text}" for name, text in rows.items())
