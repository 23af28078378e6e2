"""Runs and sweeps that last: memory, open files and the folder are no larger at the end than early on.

The figures are printed: `make nightly ARGS="tests/reliability/test_long_haul.py -s"`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import SMALL
from processes import Process, start

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux says what another process holds"),
]
SHARES = (0.1, 0.5, 0.98)  # of the way; nothing can be measured of a process that has ended
STEPS = int(os.environ.get("LONG_STEPS", "100000"))
JOBS = int(os.environ.get("LONG_JOBS", "500"))


def measured(process: Process, folder: Path, done: Callable[[], float]) -> list[tuple[float, int, float]]:
    """At each of `SHARES`: resident memory in MB, open files, and KB in the folder."""
    found = []
    for share in SHARES:
        while done() < share:
            with suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"ended early, with {process.wait(0.1)}")
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
        files = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        found.append((resident, files, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1024))
        print(f"{share:4.0%}  {resident:7.1f} MB  {files:4} open files  {found[-1][2]:9.1f} KB", flush=True)
    assert process.wait() == 0
    return found


def test_a_run_of_very_many_steps(tmp_path) -> None:
    folder = tmp_path / "run"
    tiny = ["signal.size=16", "field.width=8", "field.depth=0", "data.batch_size=16", "trainer.accelerator=cpu"]
    knobs = [*tiny, f"trainer.max_steps={STEPS}", f"data.eval_every={STEPS // 100}", f"hydra.run.dir={folder}"]

    def done() -> float:
        with suppress(OSError, ValueError):
            return int((folder / "history.csv").read_text().splitlines()[-1].split(",")[0]) / STEPS
        return 0

    said = {"forked": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with start(*knobs, cwd=tmp_path, **said) as process:
        (early, files, small), *_, (late, files_late, large) = measured(process, folder, done)
    assert late < 1.02 * early
    assert files_late <= files + 1  # one that is being written
    rows = 90 * 4 * 200 / 1024  # KB: 90 evaluations more, in two CSV files and two checkpoints
    assert large < small + rows


def test_a_sweep_of_very_many_jobs(tmp_path) -> None:
    folder = tmp_path / "sweep"
    knobs = ["-m", *SMALL, "logger=none", f"seed=range({JOBS})", f"hydra.sweep.dir={folder}"]
    said = {"forked": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with start(*knobs, cwd=tmp_path, **said) as process:
        figures = measured(process, folder, lambda: len(list(folder.glob("*/metrics.json"))) / JOBS)
    (early, files, small), *_, (late, files_late, large) = figures
    assert late < 1.1 * early
    assert files_late <= files + 1
    assert large / SHARES[-1] < 1.05 * small / SHARES[0]  # a job's folder is as large as another's
