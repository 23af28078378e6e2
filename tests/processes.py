"""Real processes: `python train.py …`, what its folders come to hold, and waiting for it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from conftest import ROOT

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


def start(*arguments: str, cwd: Path, **more) -> Process:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return Process(command, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": cwd} | more)


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
