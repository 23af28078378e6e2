"""A sweep on a real Slurm of two nodes: one job preempted, one killed, all of them finished in the end."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import ROOT, SMALL
from processes import assert_same, known, run, start, wait_for

from sinefield.system.status import read

HERE = Path(__file__).parent
MISSING = [name for name in ("slurmctld", "slurmd", "srun") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"no Slurm here ({', '.join(MISSING)}): apt install slurmctld slurmd slurm-client"
    ),
]
JOBS = ["-m", *SMALL, "trainer.max_steps=3000", "data.eval_every=50", "logger=none", "seed=1,2,3,4,5,6"]


@pytest.fixture
def cluster(monkeypatch):
    """Two virtual nodes of one core, in a folder with a short name: sockets in it have at most 108 letters."""
    with (
        Path(tempfile.gettempdir(), "sinefield-slurm.lock").open("w") as alone,
        tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as short,
    ):
        fcntl.flock(alone, fcntl.LOCK_EX)  # its ports are fixed, and tests run side by side
        folder = Path(short)
        subprocess.run([HERE / "up.sh", folder], check=True)
        monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield folder
        subprocess.run([HERE / "down.sh", folder], check=True)


def job_of(folder: Path) -> tuple[str, str]:
    """The Slurm job that runs in a folder: its own number, and its name as a task of the array."""
    environment = Path(f"/proc/{read(folder)['pid']}/environ").read_bytes().split(b"\0")
    found = dict(item.decode().split("=", 1) for item in environment if b"=" in item)
    return found["SLURM_JOB_ID"], f"{found['SLURM_ARRAY_JOB_ID']}_{found['SLURM_ARRAY_TASK_ID']}"


def asked(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def test_six_jobs_on_two_nodes_are_all_accounted_for(cluster, tmp_path) -> None:
    folder = tmp_path / "sweep"
    command = [*JOBS, "hydra/launcher=slurm", f"hydra.sweep.dir={folder}"]
    with start(*command, cwd=tmp_path, forked=False) as process:
        wait_for(lambda: list(folder.glob("seed=1-*/checkpoints/last.ckpt")))
        (preempted,) = folder.glob("seed=1-*")
        number, job = job_of(preempted)
        for signum in (signal.SIGTERM, signal.SIGUSR2):  # as Slurm does; scancel repeats itself on a requeued job
            os.kill(read(preempted)["pid"], signum)
        wait_for(lambda: read(preempted)["state"] == "interrupted")
        wait_for(lambda: "PENDING" in asked("scontrol", "show", "job", number))
        asked("scontrol", "update", f"JobId={number}", "StartTime=now")  # Slurm would give it two minutes to rest
        wait_for(lambda: list(folder.glob("seed=2-*/checkpoints/last.ckpt")))
        (killed,) = folder.glob("seed=2-*")
        os.kill(read(killed)["pid"], signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 0, (out, err)
    assert re.search(r"warning: seed=2: ended without a word.*; once more", err)
    assert out.count("slurm job") == 7  # the killed one twice; the preempted one stays the same job for Slurm
    assert len(re.findall(r"^finished +\d", out, re.MULTILINE)) == 6
    log = "".join(path.read_text() for path in folder.glob(f".submitit/{job}/*.err"))
    assert "preempted" in log
    nodes = "".join(path.read_text() for path in (cluster / "log").glob("slurmctld.log"))
    assert {"node1", "node2"} <= set(re.findall(r"NodeList=(node\d)", nodes))
    serial = run(*JOBS[:-1], "seed=1,2", f"hydra.sweep.dir={tmp_path / 'serial'}", cwd=tmp_path)
    assert serial.returncode == 0, serial.stderr
    for disturbed in (preempted, killed):
        assert_same(known(tmp_path / "serial" / disturbed.name), known(disturbed))
    assert {json.loads(path.read_text())["seed"] for path in folder.glob("*/metrics.json")} == set(range(1, 7))


def test_one_run_on_two_nodes_finds_what_one_process_finds(cluster, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")  # no name server knows the virtual nodes
    steps = [*SMALL, "trainer.max_steps=8", "data.batch_size=51", "trainer.precision=64-true"]
    alone = run(*steps, f"hydra.run.dir={tmp_path / 'alone'}", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    several = [*steps, "trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2", f"hydra.run.dir={tmp_path / 'ddp'}"]
    command = ["srun", "--nodes=2", "--ntasks-per-node=1", sys.executable, str(ROOT / "train.py"), *several]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("alone", "ddp"))
    for key in ("loss", "psnr", "psnr_off_grid", "best_psnr"):
        assert two[key] == pytest.approx(one[key], rel=1e-7), key
