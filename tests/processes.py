"""Real processes: `python train.py …`, what its folders come to hold, and waiting for it.

To start Python and import everything takes 5 s. So a process is forked from one that has done so, unless that is what
is tested; from there on it is `python train.py …`, with its own folder, environment, output and signals.
"""

from __future__ import annotations

import atexit
import csv
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self
from unittest.mock import patch

import torch
from conftest import ROOT
from tqdm import tqdm

TRAIN = ROOT / "train.py"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch._dynamo", "preload"])

# What a run's time, place, memory and checkout make of metrics.json and the logger's file; nothing else may differ.
FLEETING = {
    "fit_seconds", "wall_seconds", "steps_per_second", "peak_memory_mb", "folder", "command", "device", "git_commit",
}  # fmt: skip


class Process(subprocess.Popen):
    """Killed where a test fails beside it, which would otherwise wait for its end."""

    def __exit__(self, kind, *more) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *more)


def become(script: Path, arguments: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """Be `python <script> …` from here on."""
    multiprocessing.current_process().name = "MainProcess"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("a") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(script.parent), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [str(script), *arguments]
    tqdm.set_lock(threading.RLock())  # its own is one between processes, which a killed one would leave behind
    try:
        runpy.run_path(str(script), run_name="__main__")
    except KeyboardInterrupt:  # as the interpreter ends by it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        threading._shutdown()  # as the interpreter ends, and multiprocessing's own children do not
        atexit._run_exitfuncs()


def fork(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """A process that calls the target, forked from one in which `preload.py` was imported."""
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, path))):  # all that the server knows of ours
        process = FORKS.Process(target=target, args=arguments)
        process.start()
    return process


def _begin(session: bool, *more) -> None:
    if session:
        os.setsid()
    become(*more)


class Fork:
    """A forked `python <script> …` with what the tests use of subprocess.Popen."""

    def __init__(self, script: Path, arguments: list[str], cwd: Path, env=None, start_new_session=False) -> None:
        self._place = tempfile.TemporaryDirectory()
        self._said = [Path(self._place.name, name) for name in ("out", "err")]
        own = dict(os.environ if env is None else env)
        self._process = fork(_begin, start_new_session, script, arguments, cwd, own, *self._said)
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join(300)
        assert self.returncode is not None, "it did not end: " + self._said[1].read_text()
        return self.returncode

    def communicate(self) -> tuple[str, ...]:
        self.wait()
        with self._place:
            return tuple(path.read_text() for path in self._said)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, *more) -> None:
        if kind is not None:
            self.kill()
        self.wait()
        self._place.cleanup()


def start(*arguments: str, cwd: Path, script: Path = TRAIN, forked: bool = True, **more) -> Fork | Process:
    """`python <script> …`; with `forked=False` by a Python of its own, and the options of subprocess.Popen."""
    if forked:
        return Fork(script, list(arguments), cwd, **more)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return Process([sys.executable, str(script), *arguments], cwd=cwd, **pipes | more)


def run(*arguments: str, cwd: Path, **more) -> subprocess.CompletedProcess:
    with start(*arguments, cwd=cwd, **more) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def known(folder: Path) -> dict:
    """Everything of a finished run that must not depend on whether it was interrupted."""
    kept = {}
    for name in ("last", "best"):
        checkpoint = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        rows = checkpoint["callbacks"]["History"]["rows"]
        kept[name] = [checkpoint["state_dict"], checkpoint["optimizer_states"], checkpoint["lr_schedulers"]]
        kept[name] += [checkpoint["global_step"], checkpoint["found"], checkpoint["callbacks"]["Checkpoints"]]
        kept[name] += [[{k: v for k, v in row.items() if k != "seconds"} for row in rows]]
    for file in (folder / "history.csv", *folder.glob("csv/metrics.csv")):
        rows = list(csv.DictReader(file.read_text().splitlines()))
        kept[file.name] = [{k: v for k, v in row.items() if k not in FLEETING | {"seconds", "epoch"}} for row in rows]
    saved = json.loads((folder / "metrics.json").read_text())
    return kept | {"metrics": {k: v for k, v in saved.items() if k not in FLEETING}}


def same(a, b) -> bool:
    """Equality down to the last bit of every tensor."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert same(value, b[key]), key
