"""What `python train.py` does with a configuration, at a terminal or as a job of a sweep."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sinefield.runs.configuration import anchor_paths
from sinefield.runs.folders import hydra_texts
from sinefield.runs.telling import reraise_for_hydra, show
from sinefield.runs.train import train
from sinefield.system.lock import wait_until_free
from sinefield.system.script import accept_any_character
from sinefield.system.shutdown import Interrupted
from sinefield.system.status import read
from sinefield.system.streams import unfailing_output


@unfailing_output()
def main(config: DictConfig, folder: Path) -> float:
    """`train`, with what a person at a terminal wants to see; the score that the run is judged by, for sweepers.

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
        with reraise_for_hydra(folder):
            if HydraConfig.get().job.chdir:
                for name in ("signal", "field"):
                    anchor_paths(config.get(name), Path(HydraConfig.get().runtime.cwd))
            again = not alone and read(folder)["state"] in ("interrupted", "killed")
            texts = hydra_texts(config, cast("DictConfig", HydraConfig.instance().cfg))
            metrics = train(config, folder, again, alone, texts)
    except Interrupted as signalled:
        if worker:  # of a pool, which would give it the next job, and kills the other workers when this one ends:
            wait_until_free(folder.parent.glob("*/"))  # they have been told as well, and write their checkpoints
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
