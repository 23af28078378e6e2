"""Jobs side by side: whatever dies, nothing is left running, every folder resumes, results are the serial ones."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from conftest import SMALL
from processes import assert_same, known, run, start, wait_for

from sinefield.system.lock import locked
from sinefield.system.status import read

pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
SIDE_BY_SIDE = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
JOBS = ["-m", *SMALL, "trainer.max_steps=2000", "data.eval_every=100", "logger=none", "seed=1,2"]


def beyond(folder: Path, times: dict[Path, int]) -> bool:
    """Whether both jobs have written another checkpoint, which `times` is brought up to."""
    found = {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoints/last.ckpt")}
    if len(found) < 2 or any(times.get(path) == time for path, time in found.items()):
        return False
    times |= found
    return True


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


ENDINGS = {
    "a parent killed": (lambda pid: os.kill(pid, signal.SIGKILL), -9),
    "a parent told to stop": (lambda pid: os.kill(pid, signal.SIGTERM), 143),
    "Ctrl-C in a terminal, which reaches all": (lambda pid: os.killpg(pid, signal.SIGINT), 130),
}


@pytest.mark.slow
def test_whoever_dies_nothing_is_left_running_and_everything_goes_on(tmp_path) -> None:
    serial = run(*JOBS, f"hydra.sweep.dir={tmp_path / 'serial'}", cwd=tmp_path)
    assert serial.returncode == 0, serial.stderr
    folder, times = tmp_path / "joblib", {}
    command = [*JOBS, *SIDE_BY_SIDE, f"hydra.sweep.dir={folder}"]
    for name, (end, status) in ENDINGS.items():
        with start(*command, cwd=tmp_path, start_new_session=True) as process:
            wait_for(lambda: beyond(folder, times))
            workers = [read(job)["pid"] for job in folder.glob("seed=*")]
            assert process.pid not in workers
            assert len(set(workers)) == 2
            end(process.pid)
            out, err = process.communicate()
        assert process.returncode == status, (name, err)
        wait_for(lambda workers=workers: gone(workers), seconds=20)
        jobs = list(folder.glob("seed=*"))
        assert not any(locked(job) for job in jobs)
        beyond(folder, times)  # what was written in leaving
        assert {read(job)["state"] for job in jobs} == {"interrupted"}, (name, out, err)
    with start(*command, cwd=tmp_path) as process:  # a worker that is killed takes no job along
        wait_for(lambda: beyond(folder, times))
        victim = read(next(folder.glob("seed=1-*")))["pid"]
        assert victim != process.pid
        os.kill(victim, signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert re.search(r"finished .*seed=1\nfinished .*seed=2\n", out)
    for job in (tmp_path / "serial").glob("seed=*"):
        assert_same(known(job), known(folder / job.name))


ORPHANED = """
import multiprocessing, os, time
from pathlib import Path


def work(parent):
    while os.getppid() == parent:
        time.sleep(0.01)
    Path("pid").write_text(str(os.getpid()))
    _end_with_parent()
    Path("worked").touch()

multiprocessing.get_context("fork").Process(target=work, args=[os.getpid()]).start()
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_worker_whose_parent_died_before_its_job_began_does_none(tmp_path) -> None:
    (tmp_path / "orphaned.py").write_text(ORPHANED)
    assert run(script=tmp_path / "orphaned.py", cwd=tmp_path).returncode == 0
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    wait_for(lambda: gone([int((tmp_path / "pid").read_text())]))
    assert not (tmp_path / "worked").exists()


def test_the_cores_are_shared_and_a_worker_takes_a_second_job(tmp_path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = run("-m", *SMALL, *SIDE_BY_SIDE, "seed=1,2,3", f"hydra.sweep.dir={tmp_path}", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    devices = [json.loads(metrics.read_text())["device"] for metrics in tmp_path.glob("*/metrics.json")]
    assert len(devices) == 3
    assert all(f" {threads} threads" in device for device in devices)
