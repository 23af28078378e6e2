"""A search proposes, stops what falls behind, and goes on where it was left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import optuna
from conftest import SMALL
from processes import run, start, wait_for

SEARCH = [
    "-m", *SMALL, "sweep=search", "logger=none", "trainer.max_steps=60", "data.eval_every=10",
    "hydra.sweeper.params={optimizer.lr:'tag(log, interval(1e-6, 1e-2))',field.depth:'int(interval(1, 2))'}",
]  # fmt: skip


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")


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
