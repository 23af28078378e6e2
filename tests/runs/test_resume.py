"""A run that is interrupted anywhere and resumed equals the undisturbed one, bit for bit."""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import os
import signal
import socket
import threading

import pytest
import torch
from conftest import SMALL
from processes import assert_same, known, start, wait_for

from sinefield.errors import UserError
from sinefield.system.lock import locked
from sinefield.system.status import Status, read
from sinefield.training.checkpoints import AtomicCheckpoints
from sinefield.training.data import SignalData

RUN = [*SMALL, "trainer.max_steps=10", "data.eval_every=4", "data.batch_size=50", "loss=gradient"]
CASES = {
    "adam with a schedule": ([], 1),  # early
    "adamw at a constant rate": (["optimizer=adamw", "scheduler=constant"], 4),  # at an evaluation
    "lbfgs": (["optimizer=lbfgs", "loss=value", "scheduler=constant"], 9),  # at the last step
    "continuous points": (["data.continuous=true"], 6),
}


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(case, fit, compose, stopped_at, tmp_path) -> None:
    from sinefield.runs.train import train

    knobs, step = CASES[case]
    fit(*RUN, *knobs, folder="whole")
    folder = tmp_path / "run"
    with stopped_at(step) as stopped:
        train(compose(*RUN, *knobs), folder)
    assert stopped.value.code == 143
    assert read(folder)["state"] == "interrupted"
    assert not (folder / "metrics.json").exists()
    train(compose(*RUN, *knobs), folder, resume=True)
    assert_same(known(tmp_path / "whole"), known(folder))
    assert read(folder)["state"] == "finished"


def test_a_run_may_be_interrupted_at_every_evaluation_and_more(fit, compose, stopped_at, tmp_path) -> None:
    from sinefield.runs.train import train

    fit(*RUN, folder="whole")
    for step in (2, 4, 7, 8, 9):
        with stopped_at(step):
            train(compose(*RUN), tmp_path / "run", resume=True)
    train(compose(*RUN), tmp_path / "run", resume=True)
    assert_same(known(tmp_path / "whole"), known(tmp_path / "run"))


def test_a_checkpoint_is_replaced_at_once(tmp_path, monkeypatch) -> None:
    file = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"a": 1}, file)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"last.ckpt cannot be written \(No space"):
        AtomicCheckpoints().save_checkpoint({"a": 2}, file)
    assert torch.load(file, weights_only=True) == {"a": 1}


def test_an_unfinished_run_is_not_overwritten_but_a_failed_one_is(fit, stopped_at, tmp_path) -> None:
    with stopped_at(5):
        fit(*RUN)
    with pytest.raises(UserError, match=r"holds an unfinished run; resume=.* continues it"):
        fit(*RUN)
    with pytest.raises(UserError, match="try a lower"):
        fit(*RUN, "optimizer.lr=1e30", folder="failed")
    saved = json.loads((tmp_path / "failed" / "status.json").read_text())
    assert saved.keys() == {"state", "error", "host", "pid", "since"}
    assert saved["state"] == "failed"
    assert "try a lower optimizer.lr" in saved["error"]
    fit(*RUN, folder="failed")
    assert len(list(csv.DictReader((tmp_path / "failed" / "history.csv").read_text().splitlines()))) == 3
    assert json.loads((tmp_path / "failed" / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("resume", [True, False])
def test_the_traceback_of_a_defect_goes_with_the_next_attempt(resume, compose, tmp_path, monkeypatch) -> None:
    from sinefield.runs.train import train

    with monkeypatch.context() as patch:
        patch.setattr(SignalData, "batch", None)
        with pytest.raises(TypeError):
            train(compose(*SMALL), tmp_path / "run")
    assert "Traceback" in (tmp_path / "run" / "error.txt").read_text()
    train(compose(*SMALL), tmp_path / "run", resume=resume)
    assert not (tmp_path / "run" / "error.txt").exists()


def test_a_folder_is_one_run_s_at_a_time(fit, tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with Status(folder):
        assert read(folder)["state"] == "running"
        assert locked(folder)
        with pytest.raises(UserError, match=f"being run by process {os.getpid()} on {socket.gethostname()}"):
            fit(*SMALL)
    assert not locked(folder)


def test_whoever_only_looks_keeps_no_run_out(tmp_path) -> None:
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, looking.close).start()
        with Status(tmp_path):
            assert read(tmp_path)["state"] == "running"


def test_a_process_that_is_killed_or_told_to_stop_is_resumed_from_the_command_line(fit, tmp_path) -> None:
    long = [*RUN, "trainer.max_steps=120", "data.eval_every=10"]
    fit(*long, folder="whole")
    folder = tmp_path / "run"
    endings = [
        (signal.SIGKILL, -9, "killed"),
        (signal.SIGTERM, 143, "interrupted"),
        (signal.SIGINT, 130, "interrupted"),
    ]
    arguments = [*long, f"hydra.run.dir={folder}"]
    for signum, status, state in endings:
        seen = (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns if folder.exists() else 0
        process = start(*arguments, cwd=tmp_path)
        wait_for(lambda seen=seen: any(f.stat().st_mtime_ns > seen for f in folder.glob("checkpoints/last.ckpt")))
        process.send_signal(signum)
        process.communicate()
        assert process.returncode == status
        assert read(folder)["state"] == state
        arguments = [f"resume={folder}"]
    done = start(*arguments, cwd=tmp_path)
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert str(folder) in out
    assert_same(known(tmp_path / "whole"), known(folder))
    again = start(*arguments, cwd=tmp_path)
    assert again.communicate()[1] == (
        f"error: {folder} is finished; there is nothing to resume, unless trainer.max_steps=… makes it longer\n"
    )
    assert again.returncode == 1
