"""A search proposes, stops what falls behind, and goes on where it was left."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from conftest import SMALL
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf
from processes import run, start, wait_for

from sinefield.errors import UserError
from sinefield.runs import resume_or_repeat
from sinefield.sweep.pruning import open_storage, url
from sinefield.system.lock import acquired
from sinefield.system.status import Status

SEARCH = [
    "-m", *SMALL, "sweep=search", "logger=none", "trainer.max_steps=60", "data.eval_every=10",
    "hydra.sweeper.params={optimizer.lr:'tag(log, interval(1e-6, 1e-2))',field.depth:'int(interval(1, 2))'}",
]  # fmt: skip


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="search", storage=open_storage(url(folder / "study.db")))


@pytest.mark.slow
def test_a_search_is_killed_goes_on_and_ends_bad_trials_early(tmp_path) -> None:
    command = [*SEARCH, "hydra.sweeper.trials=10", f"hydra.sweep.dir={tmp_path}"]
    with start(*command, cwd=tmp_path) as process:
        wait_for(lambda: len(list(tmp_path.glob("*/metrics.json"))) >= 3)
        process.kill()
    known = len(study(tmp_path).trials)
    assert 3 <= known < 10
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trials = study(tmp_path).trials
    assert len(trials) == 10
    assert all(trial.state.is_finished() for trial in trials)
    metrics = [json.loads(path.read_text()) for path in tmp_path.glob("*/metrics.json")]
    assert len(metrics) == 10
    early = [trial for trial in trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert early
    assert sum(found["steps"] < 60 for found in metrics) == len(early)
    best = max(found["psnr_off_grid"] for found in metrics if found["steps"] == 60)
    assert study(tmp_path).best_value == best
    assert re.search(rf"best psnr_off_grid {best:.2f}: optimizer.lr=\S+ ", done.stdout)
    more = run(*command, "hydra.sweeper.trials=11", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert more.stdout.count("finished before") == 10


@pytest.mark.slow
def test_trials_run_side_by_side(tmp_path) -> None:
    beside = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.max_batch_size=2"]
    done = run(*SEARCH, *beside, "hydra.sweeper.trials=4", f"hydra.sweep.dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    status = [json.loads(path.read_text()) for path in tmp_path.glob("*/status.json")]
    assert [found["state"] for found in status] == ["finished"] * 4
    assert len({found["pid"] for found in status}) == 2
    assert all(trial.state.is_finished() for trial in study(tmp_path).trials)


def test_a_search_for_what_no_trial_knows_ends_after_the_first(tmp_path) -> None:
    done = run(*SEARCH, "signal.holdout=false", "hydra.sweeper.trials=3", f"hydra.sweep.dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: hydra.sweeper.metric=psnr_off_grid is no number of a trial's metrics.json" in done.stderr
    assert len(list(tmp_path.glob("*/metrics.json"))) == 1


def test_the_evaluation_says_which_way_the_metric_is_better(sweeper) -> None:
    sound = ["sweep=search", "signal=audio", "signal.path=a.wav"]
    for metric, direction in (("snr", "maximize"), ("mse", "minimize")):
        assert sweeper(*sound, f"hydra.sweeper.metric={metric}")._direction() == direction
    with pytest.raises(UserError, match="psnr is no score of this evaluation; choose from: snr, snr_off_grid, mse"):
        sweeper(*sound, "hydra.sweeper.metric=psnr")._direction()


class Launcher:
    """Leaves files in the folder of every trial that it is given, in place of running it."""

    def __init__(self, search: Any, **files: dict) -> None:
        self.search = search
        self.files = files
        self.launched = 0

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        for job in self.search.jobs:
            if job.overrides in job_overrides:
                self.launched += 1
                job.folder.mkdir(exist_ok=True)
                for name, content in self.files.items():
                    (job.folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def search(sweeper, tmp_path):
    """A search of two trials or another number, whose launcher leaves files."""

    def made(folder: Path = tmp_path, trials: int = 2, **files: dict) -> Any:
        place = str(folder).replace("'", "\\'")
        found = sweeper("sweep=search", f"hydra.sweeper.trials={trials}", f"hydra.sweep.dir='{place}'")
        found.launcher = Launcher(found, **files)
        return found

    return made


def test_a_trial_that_neither_finished_nor_failed_ends_the_search_and_goes_on_with_it(search, tmp_path) -> None:
    full, goes_on = {"state": "interrupted", "error": "no room"}, "1 of 1 trials .*; the same command goes on"
    stuck = search(status=full)
    with pytest.raises(CompactHydraException, match=goes_on):
        stuck.sweep([])
    assert [trial.state for trial in study(tmp_path).trials] == [optuna.trial.TrialState.RUNNING]
    elsewhere = search(status=full)
    with Status(stuck.jobs[0].folder), pytest.raises(CompactHydraException, match=goes_on):
        elsewhere.sweep([])
    assert elsewhere.launcher.launched == 0
    assert search(metrics={"psnr": 9.0, "psnr_off_grid": 8.0}).sweep([]) == [9.0, 9.0]
    assert [trial.value for trial in study(tmp_path).trials] == [8.0, 8.0]
    assert len(list(tmp_path.glob("*/metrics.json"))) == 2


def test_a_search_is_one_process_s_at_a_time(search, tmp_path) -> None:
    second = search(metrics={"psnr": 9.0, "psnr_off_grid": 8.0})
    with acquired(tmp_path), pytest.raises(CompactHydraException, match="is being searched by another process"):
        second.sweep([])
    assert second.launcher.launched == 0
    assert not (tmp_path / "study.db").exists()
    assert second.sweep([]) == [9.0, 9.0]


NAMES = [
    "it's",
    "what?",
    "what?mode=ro",
    "#1",
    "50%",
    "%3F",
    "a;b",
    "a b",
    "Käse 1",
    '"q"',
    "a+b",
    "{x}",
    "a@b:c",
    "日本",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_search_s_folder_may_have_any_name(search, tmp_path, name) -> None:
    named = search(tmp_path / name, trials=1, metrics={"psnr": 9.0, "psnr_off_grid": 8.0})
    assert named.sweep([]) == [9.0]
    config = OmegaConf.create(named._composed(named.jobs[0].overrides))
    assert len(open_storage(config.callback.storage).get_all_studies()) == 1
    assert trials(tmp_path / name / "study.db") == 1  # by SQLite's own reading of the path
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["it's", "what?mode=ro", "50%"])
def test_so_may_the_current_folder(search, tmp_path, monkeypatch, name) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    search(Path("found"), trials=1, metrics={"psnr": 9.0, "psnr_off_grid": 8.0}).sweep([])
    assert trials(tmp_path / name / "found" / "study.db") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_database_s_path_may_be_no_text(tmp_path) -> None:
    path = tmp_path / os.fsdecode(b"\xff?\n") / "study.db"
    path.parent.mkdir()
    assert url(path).isascii()
    optuna.create_study(storage=open_storage(url(path)))
    assert path.stat().st_size > 0


def test_two_folders_never_share_a_database(tmp_path) -> None:
    for name in ("a?1", "a?2", "a", "a#1", "a%3F1"):
        (tmp_path / name).mkdir()
        study = optuna.create_study(storage=open_storage(url(tmp_path / name / "study.db")))
        assert len(study.trials) == 0
        study.ask()
        assert trials(tmp_path / name / "study.db") == 1


def trials(file: Path) -> int:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT count(*) FROM trials").fetchone()[0]


def test_a_trial_is_repeated_and_resumed_without_its_search(search, fit, tmp_path) -> None:
    proposed = SimpleNamespace(params={"optimizer.lr": 0.1}, _trial_id=1)
    watched = OmegaConf.create(search()._composed(search()._trial("sqlite:///gone.db", proposed).overrides))
    folder = fit(*SMALL, "logger=none")["folder"]
    config = OmegaConf.load(folder / "config.yaml")
    config.callback = watched.callback
    OmegaConf.save(config, folder / "config.yaml")
    resume_or_repeat.repeat(folder, tmp_path / "repeated")
    assert json.loads((tmp_path / "repeated" / "repeat.json").read_text())["identical"]
    (folder / "metrics.json").unlink()
    resume_or_repeat.resume(folder)
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 2
