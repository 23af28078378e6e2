"""Sweeps, as real processes: every combination once, whatever is killed, and started again as often as one likes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import CONF, SMALL
from omegaconf import OmegaConf
from PIL import Image
from processes import assert_same, known, run, start, wait_for

from sinefield.sweep.jobs import Job, conclude
from sinefield.system.shutdown import Interrupted
from sinefield.system.status import Status, read


def sweep_folder(place: Path) -> Path:
    (folder,) = (place / "outputs" / "fit").iterdir()
    return folder


def test_every_combination_runs_once_in_a_folder_that_says_which(tmp_path) -> None:
    command = ["-m", "loss=value,sobolev", "activation=sine,tanh", *SMALL]
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = sweep_folder(tmp_path)
    assert re.fullmatch(r"sweep\+loss\+activation-[0-9a-f]{8}", folder.name)
    runs = [OmegaConf.load(path) for path in sorted(folder.glob("*/config.yaml"))]
    assert {(len(run.loss.terms), run.activation._target_.rpartition(".")[2]) for run in runs} == {
        (terms, activation) for terms in (2, 3) for activation in ("Sine", "Tanh")
    }
    names = sorted(path.parent.name.rpartition("-")[0] for path in folder.glob("*/metrics.json"))
    assert names == sorted(f"loss={loss}+activation={a}" for loss in ("value", "sobolev") for a in ("sine", "tanh"))
    assert re.search(r"finished +\d+\.\d\d +\d+\.\d  loss=value activation=sine\n", done.stdout)

    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.json")}
    again = run(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished before") == 4
    more = run("-m", "loss=value,sobolev", "activation=sine,tanh,gauss", *SMALL, cwd=tmp_path)  # a longer list
    assert more.returncode == 0, more.stderr
    assert more.stdout.count("finished before") == 4
    assert len(list(sweep_folder(tmp_path).glob("*/metrics.json"))) == 6
    assert before.items() <= {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.json")}.items()


def test_a_fixed_override_makes_another_sweep_and_other_jobs(sweeper, tmp_path) -> None:
    fixed = ["seed=1", "seed=2", "loss.terms.value.weight=2", "experiment=paper/image_fit", "sweep=size"]
    folders = [sweeper("trainer.max_steps=10,20", override).jobs[0].folder for override in fixed]
    assert len({folder.name for folder in folders}) == len({folder.parent for folder in folders}) == len(fixed)
    place = f"hydra.sweep.dir={tmp_path}"
    one, other = (sweeper("trainer.max_steps=10,20", seed, place).jobs for seed in ("seed=1", "seed=2"))
    assert len({job.folder for job in one + other}) == 4
    assert {job.folder.parent for job in one + other} == {tmp_path}


def test_a_value_given_twice_is_one_job(sweeper) -> None:
    assert len(sweeper("seed=1,1,2").jobs) == 2


def test_a_launcher_keeps_no_configurations(sweeper, tmp_path) -> None:
    one = sweeper("seed=1,2", f"hydra.sweep.dir={tmp_path}")
    returned = one.launcher.launch([job.overrides for job in one.jobs], initial_job_idx=0)
    assert [(kept.return_value, kept.cfg, kept.hydra_cfg) for kept in returned] == [(None, None, None)] * 2


PRESETS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
LARGE = pytest.mark.slow  # a tenth of a second for each of a hundred jobs


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=[LARGE] if name.startswith("methods") else []) for name in PRESETS]
)
def test_every_job_of_every_preset_is_composed_and_has_a_folder_of_its_own(preset, sweeper) -> None:
    jobs = sweeper(f"sweep={preset}").jobs
    assert len({job.folder for job in jobs}) == len(jobs)
    assert len(jobs) > 3 or sweeper(f"sweep={preset}").swept  # a search makes its jobs as it goes


def test_a_job_that_fails_is_named_does_not_stop_the_others_and_runs_again(tmp_path) -> None:
    command = ["-m", *SMALL, "signal.path=late.png,skimage:camera", f"hydra.sweep.dir={tmp_path}"]
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert "error: 'late.png' does not exist; check the path [signal.path=late.png; " in done.stderr
    assert done.stderr.endswith("error: 1 of 2 jobs did not finish\n")
    assert re.search(r"failed +- +-  signal.path=late.png\n", done.stdout)
    (failed,) = tmp_path.glob("signal.path=late.png-*")
    assert read(failed)["state"] == "failed"
    Image.new("L", (64, 64)).save(tmp_path / "late.png")
    again = run(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished before") == 1
    assert read(failed)["state"] == "finished"


def test_a_typo_in_one_job_is_found_before_any_runs(tmp_path) -> None:
    done = run("-m", "loss=value,laplace", *SMALL, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no loss/laplace; choose from: ")
    assert not (tmp_path / "outputs").exists()


LONG = ["-m", *SMALL, "trainer.max_steps=400", "data.eval_every=20", "seed=1,2,3"]


@pytest.mark.slow
def test_a_sweep_that_is_killed_finishes_every_job_once_with_the_undisturbed_result(tmp_path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run(*LONG, f"hydra.sweep.dir={whole}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = [*LONG, f"hydra.sweep.dir={killed}"]
    with start(*command, cwd=tmp_path) as process:
        wait_for(lambda: list(killed.glob("seed=2-*/checkpoints/last.ckpt")))
        process.kill()
    (second,) = killed.glob("seed=2-*")
    assert read(second)["state"] == "killed"
    (first,) = killed.glob("*/metrics.json")
    at = first.stat().st_mtime_ns
    with start(*command, cwd=tmp_path) as process:  # and told to stop in the next job
        wait_for(lambda: list(killed.glob("seed=3-*/checkpoints/last.ckpt")))
        process.terminate()
        out, _ = process.communicate()
    assert process.returncode == 143
    assert re.search(r"finished before .*seed=1\nfinished .*seed=2\ninterrupted +- +-  seed=3\n", out), out
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert first.stat().st_mtime_ns == at
    for folder in killed.glob("seed=*"):
        assert_same(known(whole / folder.name), known(folder))


def test_a_job_of_another_sweep_goes_on_where_this_one_is_told_to_stop(sweeper, tmp_path) -> None:
    one = sweeper("seed=1,2", f"hydra.sweep.dir={tmp_path}")
    theirs, mine = (job.folder for job in one.jobs)

    class Launcher:
        def launch(self, job_overrides, initial_job_idx) -> None:
            assert [mine.name in str(overrides) for overrides in job_overrides] == [True]
            os.kill(os.getpid(), signal.SIGTERM)

    one.launcher = Launcher()
    theirs.mkdir()
    with subprocess.Popen(["sleep", "60"]) as other, Status(theirs):
        owner = read(theirs) | {"pid": other.pid}
        (theirs / "status.json").write_text(json.dumps(owner))
        with pytest.raises(Interrupted):
            one.sweep([])
        running = other.poll() is None
        other.kill()
    assert running


def test_the_dashboard_is_built_of_the_sweep_s_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sinefield.report.dashboard.build", lambda folder: folder / "dashboard.html")
    assert conclude([], tmp_path) == [f"dashboard     {tmp_path / 'dashboard.html'}"]


def test_a_dashboard_that_fails_hides_nothing(monkeypatch, tmp_path) -> None:
    def build(folder: Path) -> Path:
        raise RuntimeError("out of ink")

    monkeypatch.setattr("sinefield.report.dashboard.build", build)
    (tmp_path / "status.json").write_text('{"state": "failed", "error": "it broke"}')
    lines = conclude([Job([], ["seed=1"], tmp_path)], tmp_path)
    assert lines == [f"error: it broke [seed=1; {tmp_path}]", "error: no dashboard: RuntimeError: out of ink"]
