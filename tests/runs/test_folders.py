"""A run folder is written by the one process that has it, and every run has one of its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from conftest import SMALL
from omegaconf import OmegaConf
from processes import run, start

from sinefield.runs.folders import new_folder
from sinefield.system.status import Status

LOG = "hydra/job_logging=default"  # Hydra's own, with a log file in the run folder
REFUSED = [[], [LOG], ["hydra.output_subdir=.hydra"], ["hydra.output_subdir=notes", LOG]]


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    done = run(*SMALL, "activation=sine", "hydra.run.dir=run", cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "run"


@pytest.mark.parametrize("more", REFUSED, ids=" ".join)
def test_a_command_that_is_refused_leaves_a_finished_run_as_it_is(more, finished) -> None:
    before = content(finished)
    done = run(*SMALL, "activation=relu", *more, f"hydra.run.dir={finished}", cwd=finished.parent)
    assert done.stderr == f"error: {finished} holds a finished run; choose another hydra.run.dir\n"
    assert content(finished) == before


def test_a_command_that_is_refused_leaves_a_running_and_an_unfinished_run_as_they_are(tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    command = [*SMALL, LOG, f"hydra.run.dir={folder}"]
    with Status(folder):
        before = content(folder)
        assert "is being run by process" in run(*command, cwd=tmp_path).stderr
        assert content(folder) == before
    (folder / "status.json").unlink()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"worth hours")
    before = content(folder)
    assert "holds an unfinished run" in run(*command, cwd=tmp_path).stderr
    assert content(folder) == before


def test_a_job_of_a_sweep_leaves_a_finished_one_as_it_is(sweeper, tmp_path) -> None:
    sweep = sweeper(*SMALL, LOG, "hydra.output_subdir=.hydra", "seed=1,2", f"hydra.sweep.dir={tmp_path}")
    job = sweep.jobs[0]
    job.folder.mkdir()
    (job.folder / "metrics.json").write_text("{}")
    before = content(job.folder)
    sweep.launcher.launch([job.overrides], initial_job_idx=0)  # of a function that does nothing
    assert content(job.folder) == before


def test_what_hydra_would_write_is_there_once_the_run_has_its_folder(finished, compose) -> None:
    texts = {path.name: OmegaConf.load(path) for path in (finished / ".hydra").iterdir()}
    assert texts.keys() == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert texts["config.yaml"] == compose(*SMALL, "activation=sine")
    assert texts["overrides.yaml"] == [*SMALL, "activation=sine"]
    assert texts["hydra.yaml"].hydra.runtime.choices.activation == "sine"
    assert texts["hydra.yaml"].hydra.runtime.cwd == str(finished.parent)


def test_a_log_file_of_hydra_s_is_written_where_it_is_asked_for(tmp_path) -> None:
    done = run(*SMALL, LOG, "hydra.run.dir=run", "trainer.precision=bf16-mixed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "caps the fit" in (tmp_path / "run" / "train.log").read_text()


def test_a_failed_run_says_what_was_typed(tmp_path) -> None:
    assert run(*SMALL, "signal.path=nosuch.png", "hydra.run.dir=run", cwd=tmp_path).returncode == 1
    assert "signal.path=nosuch.png" in OmegaConf.load(tmp_path / "run" / ".hydra" / "overrides.yaml")


def test_runs_that_are_named_by_the_same_time_have_a_folder_each(tmp_path) -> None:
    command = [*SMALL, "logger=none", "hydra.run.dir=${now:%Y}"]
    started = [start(*command, f"seed={seed}", cwd=tmp_path) for seed in range(3)]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors
    configs = [OmegaConf.load(path) for path in tmp_path.glob("*/config.yaml")]
    assert {config.seed for config in configs} == {0, 1, 2}
    for path in tmp_path.glob("*/"):
        assert f"seed={OmegaConf.load(path / 'config.yaml').seed}" in OmegaConf.load(path / ".hydra/overrides.yaml")
        assert OmegaConf.load(path / ".hydra/hydra.yaml").hydra.run.dir == path.name


def test_of_many_that_want_a_folder_each_has_one(tmp_path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(new_folder(tmp_path / "a" / "16-1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.name for path in found} == {"16-1", *(f"16-1-{number}" for number in range(2, 9))}
    assert sorted(os.listdir(tmp_path / "a")) == sorted(path.name for path in found)
