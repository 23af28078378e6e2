"""What becomes of an interrupted run that cannot go on yet, and of a finished one that is made longer."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from conftest import SMALL
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf
from PIL import Image
from processes import assert_same, known, run, start, wait_for

from sinefield.errors import UserError
from sinefield.runs import resume_or_repeat
from sinefield.runs.train import train
from sinefield.system.shutdown import Interrupted
from sinefield.system.status import read
from sinefield.training import checkpoints
from sinefield.training.data import SignalData

RUN = [*SMALL, "trainer.max_steps=8", "data.eval_every=2", "data.batch_size=50", "logger=none"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """What is made once: a picture, a whole run of it, one that was told to stop in its fifth step, a finished one."""
    return tmp_path_factory.mktemp("longer")


@pytest.fixture
def picture(home) -> Path:
    path = home / "picture.png"
    if not path.exists():
        Image.linear_gradient("L").resize((32, 32)).save(path)
    return path


@pytest.fixture
def own_picture(picture, tmp_path) -> Path:
    """One that may be taken away."""
    return Path(shutil.copy(picture, tmp_path))


@pytest.fixture
def whole(compose, picture, home) -> Path:
    if not (home / "whole").exists():
        train(compose(*RUN, f"signal.path={picture}"), home / "whole")
    return home / "whole"


@pytest.fixture
def interrupted(compose, picture, home, stopped_at, tmp_path) -> Path:
    if not (home / "stopped").exists():
        with stopped_at(5):
            train(compose(*RUN, f"signal.path={picture}"), home / "stopped")
    return shutil.copytree(home / "stopped", tmp_path / "run")


@pytest.fixture
def finished(home, tmp_path) -> Path:
    """By a command of its own, with what Hydra writes."""
    if not (home / "finished").exists():
        typed(home / "finished")
    return shutil.copytree(home / "finished", tmp_path / "run")


def again(compose, folder: Path, picture: Path) -> None:
    """As a sweep that is started again does it."""
    resumed = read(folder)["state"] in ("interrupted", "killed")
    train(compose(*RUN, f"signal.path={picture}"), folder, resume=resumed, alone=False)


def fails(error: BaseException):
    def fail(*arguments, **options):
        raise error

    return fail


BEFORE = {
    "no picture": ("sinefield.runs.train.build_problem", UserError("it does not exist")),
    "a defect": ("sinefield.runs.train.build_problem", RuntimeError("a defect")),
    "no memory for the picture": ("sinefield.runs.train.build_problem", MemoryError()),
    "no memory for the checkpoint": ("torch.load", MemoryError()),
    "a file server that is away": ("torch.load", OSError(errno.ESTALE, "Stale file handle")),
    "a checkpoint of somebody else's": ("torch.load", PermissionError(errno.EACCES, "Permission denied")),
    "a trainer that refuses": ("sinefield.runs.train.make_trainer", UserError("no GPU here")),
    "a logger that fails": ("sinefield.runs.train.logging_to", ValueError("no")),
    "the first batch": ("sinefield.training.data.SignalData.batch", torch.OutOfMemoryError()),
}


@pytest.mark.parametrize("case", BEFORE)
def test_what_happens_before_the_first_new_step_costs_no_checkpoint(
    case, compose, interrupted, whole, picture, monkeypatch
) -> None:
    place, error = BEFORE[case]
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(place, fails(error))
            with pytest.raises(BaseException) as raised:  # noqa: PT011  of many kinds
                again(compose, interrupted, picture)
        assert read(interrupted)["state"] == "interrupted", raised.value
        assert read(interrupted)["error"]
    steps = []
    make = SignalData.batch
    monkeypatch.setattr(SignalData, "batch", lambda self, number: steps.append(number) or make(self, number))
    again(compose, interrupted, picture)
    assert min(steps) == 5
    assert_same(known(whole), known(interrupted))


def test_a_checkpoint_that_nobody_can_go_on_from_keeps_no_sweep_waiting(compose, interrupted, picture) -> None:
    last = interrupted / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(UserError, match="is not a whole checkpoint of this run"):
        again(compose, interrupted, picture)
    assert read(interrupted)["state"] == "failed"
    again(compose, interrupted, picture)
    assert read(interrupted)["state"] == "finished"


def test_what_goes_wrong_after_a_new_step_is_the_run_s_own(compose, interrupted, picture, monkeypatch) -> None:
    make = SignalData.batch
    later = fails(UserError("diverged"))
    monkeypatch.setattr(SignalData, "batch", lambda self, number: make(self, number) if number < 7 else later())
    with pytest.raises(UserError, match="diverged"):
        again(compose, interrupted, picture)
    assert read(interrupted)["state"] == "failed"


def test_a_failed_run_stays_one_when_it_cannot_go_on(compose, interrupted, picture, monkeypatch) -> None:
    status = json.loads((interrupted / "status.json").read_text())
    (interrupted / "status.json").write_text(json.dumps(status | {"state": "failed"}))
    monkeypatch.setattr("sinefield.runs.train.build_problem", fails(UserError("away")))
    with pytest.raises(UserError, match="away"):
        train(compose(*RUN, f"signal.path={picture}"), interrupted, resume=True)
    assert read(interrupted)["state"] == "failed"


def test_a_sweep_whose_picture_is_away_for_a_while_goes_on_where_it_stood(own_picture, tmp_path) -> None:
    sweep = ["-m", *RUN, "trainer.max_steps=3000", "signal.path=picture.png", "seed=1,2", "hydra.sweep.dir=sweep"]
    with start(*sweep, cwd=tmp_path) as process:
        wait_for(lambda: list(tmp_path.glob("sweep/seed=1-*/checkpoints/last.ckpt")))
        process.terminate()
        process.communicate()
    (folder,) = tmp_path.glob("sweep/seed=1-*")
    step = checkpoints.read(folder / "checkpoints" / "last.ckpt")["global_step"]
    away = own_picture.rename(tmp_path / "away.png")
    done = run(*sweep, cwd=tmp_path)
    assert done.returncode == 1
    assert "error: 'picture.png' does not exist" in done.stderr
    assert checkpoints.read(folder / "checkpoints" / "last.ckpt")["global_step"] == step
    away.rename(own_picture)
    with start(*sweep, cwd=tmp_path) as process:
        wait_for(lambda: read(folder)["state"] == "running")
        process.terminate()
        process.communicate()
    assert checkpoints.read(folder / "checkpoints" / "last.ckpt")["global_step"] >= step


@pytest.mark.parametrize("action", ["resume", "repeat"])
def test_a_relative_picture_is_found_from_another_folder(action, own_picture, tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    command_line = [*RUN, "signal=images", "signal.size=16", "signal.paths=[picture.png,./picture.png]"]
    assert run(*command_line, "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    folder = tmp_path / "run"
    if action == "resume":
        (folder / "metrics.json").unlink()
    monkeypatch.chdir(tmp_path / "elsewhere")
    getattr(resume_or_repeat, action)(folder, *([None] if action == "repeat" else []))
    own_picture.unlink()
    (folder / "metrics.json").unlink()
    config = OmegaConf.load(folder / "config.yaml")
    config.signal.paths = ["picture.png", "picture.png"]
    OmegaConf.save(config, folder / "config.yaml")
    with pytest.raises(CompactHydraException, match=f"does not exist.*; the run was started in {tmp_path}, to which"):
        resume_or_repeat.resume(folder)


# What follows is about a finished run.

SCHEDULES = {
    "constant": ["scheduler=constant"],
    "cosine": [],
    "linear": ["scheduler=linear"],
    "onecycle": ["scheduler=onecycle"],
}


def typed(folder: Path, *overrides: str) -> Path:
    done = run(*RUN, *overrides, f"hydra.run.dir={folder}", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


def rates(folder: Path) -> tuple[list[float], list[dict]]:
    state = checkpoints.read(folder / "checkpoints" / "last.ckpt")
    return [group["lr"] for group in state["optimizer_states"][0]["param_groups"]], state["lr_schedulers"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_finished_run_takes_more_steps(schedule, compose, tmp_path) -> None:
    """The rate is that of the longer run from there on; where it always was, so is everything."""
    folder = typed(tmp_path / "run", *SCHEDULES[schedule])
    first = (folder / "history.csv").read_text()
    resume_or_repeat.resume(folder, max_steps=16)
    train(compose(*RUN, *SCHEDULES[schedule], "trainer.max_steps=16"), tmp_path / "whole")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["steps"] == 16
    assert metrics["extended_at"] == [8]
    assert (folder / "history.csv").read_text().startswith(first)
    assert [row["step"] for row in csv.DictReader((folder / "history.csv").read_text().splitlines())] == [
        *map(str, range(2, 17, 2))
    ]
    assert rates(folder) == rates(tmp_path / "whole")
    longer, whole = (OmegaConf.load(run / "config.yaml") for run in (folder, tmp_path / "whole"))
    assert longer == whole
    assert "trainer.max_steps=16" in OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    if schedule == "constant":
        found, wanted = known(folder), known(tmp_path / "whole")
        assert found["metrics"].pop("extended_at") == [8]
        for kept in (found, wanted):
            for name in ("last", "best"):
                kept[name][4].pop("extended_at")
                kept[name][4].pop("max_steps")  # the best may be of before
        assert_same(wanted, found)


def test_the_longer_run_is_an_unfinished_one_until_its_end(finished, tmp_path, monkeypatch) -> None:
    folder, whole = finished, tmp_path / "whole"
    shutil.copytree(folder, whole)
    resume_or_repeat.resume(whole, max_steps=16)
    make = SignalData.batch

    def batch(self, number):
        if number in killed:
            killed.remove(number)
            os.kill(os.getpid(), signal.SIGTERM)
        assert read(folder)["state"] == "running"
        return make(self, number)

    killed = [9, 12]
    monkeypatch.setattr(SignalData, "batch", batch)
    for steps in (16, None):
        with pytest.raises(Interrupted):
            resume_or_repeat.resume(folder, max_steps=steps)
        assert read(folder)["state"] == "interrupted"
    resume_or_repeat.resume(folder, max_steps=16)
    assert_same(known(whole), known(folder))


def test_one_killed_before_its_first_new_step_has_the_longer_schedule_too(finished, tmp_path, monkeypatch) -> None:
    folder, whole = finished, tmp_path / "whole"
    shutil.copytree(folder, whole)
    resume_or_repeat.resume(whole, max_steps=16)
    with monkeypatch.context() as patch:
        patch.setattr("sinefield.runs.train.make_trainer", fails(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            resume_or_repeat.resume(folder, max_steps=16)
    assert read(folder)["state"] == "interrupted"
    resume_or_repeat.resume(folder)
    assert_same(known(whole), known(folder))


def test_one_that_cannot_be_made_longer_stays_as_it_is(finished, tmp_path, monkeypatch) -> None:
    folder = finished

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "status.json"}

    before = content()
    for steps in (8, 3):
        with pytest.raises(CompactHydraException, match=r"has taken 8 steps; give trainer\.max_steps more"):
            resume_or_repeat.resume(folder, max_steps=steps)
    with monkeypatch.context() as patch:
        patch.setattr("sinefield.runs.train.build_problem", fails(UserError("away")))
        with pytest.raises(CompactHydraException, match="away"):
            resume_or_repeat.resume(folder, max_steps=16)
    assert content() == before
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    for name, message in ((".hydra/config.yaml", "cannot be made longer"), (".hydra/overrides.yaml", "no .hydra/over")):
        away = (folder / name).rename(folder / "away")
        with pytest.raises(CompactHydraException, match=message):
            resume_or_repeat.resume(folder, max_steps=16)
        away.rename(folder / name)
    for more in (["trainer.max_steps=many"], ["trainer.max_steps=20", "seed=1"], ["trainer.max_steps=-1"]):
        done = run(f"resume={folder}", *more, cwd=tmp_path)
        assert done.returncode == 1
        assert "leave out all but resume=FOLDER and trainer.max_steps=NUMBER" in done.stderr
    assert content() == before


def test_an_interrupted_run_takes_other_steps_too_and_a_repetition_its_own(finished) -> None:
    folder = finished
    (folder / "metrics.json").unlink()
    resume_or_repeat.resume(folder, max_steps=12)
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 12
    (folder / "repeat.json").write_text(json.dumps({"of": str(folder)}))
    with pytest.raises(CompactHydraException, match="takes as many steps"):
        resume_or_repeat.resume(folder, max_steps=20)
