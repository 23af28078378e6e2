"""The jobs of a sweep: what each is, what became of it, and a table of all."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sinefield.system.lock import locked, wait_until_free
from sinefield.system.status import read

OPEN = ("new", "interrupted", "killed")  # not settled: neither finished nor failed


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        overrides: the whole of them.
        swept: those that tell it from the others.
        folder: its run folder.
        before: it was finished before this sweep began.
        changed: the pictures that it had read then and that are others now.
    """

    overrides: list[str]
    swept: list[str]
    folder: Path
    before: bool = False
    changed: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """As `sinefield.system.status.read` has it."""
        return str(read(self.folder)["state"])

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return read(self.folder)["error"]

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json; empty where the job is not finished."""
        try:
            return dict(json.loads((self.folder / "metrics.json").read_text()))
        except (OSError, ValueError):
            return {}

    @property
    def score(self) -> float | None:
        """The score that the run is judged by; None where the job is not finished."""
        found = self.metrics
        value = found.get(found.get("monitor", {}).get("name", "psnr"))  # of older versions PSNR alone
        return float(value) if isinstance(value, int | float) else None


def table(jobs: Iterable[Job]) -> str:
    """A line per job: status, the score it is judged by, seconds in optimizer steps, overrides."""
    jobs = list(jobs)
    named = next((job.metrics["monitor"]["name"] for job in jobs if "monitor" in job.metrics), "score")
    rows = [("status", str(named), "seconds", "overrides")]
    for job in jobs:
        found = job.metrics
        score, seconds = job.score, found.get("fit_seconds")
        before = "finished before, with another picture" if job.changed else "finished before"
        status = {"new": "not started", "finished": before if job.before else "finished"}
        rows.append(
            (
                status.get(job.state, job.state),
                "-" if score is None else f"{score:.4g}",
                "-" if seconds is None else f"{seconds:.1f}",
                " ".join(job.swept) or "(none)",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    aligned = "{:{}}  {:>{}}  {:>{}}  {}"
    return "\n".join(
        aligned.format(row[0], widths[0], row[1], widths[1], row[2], widths[2], row[3]).rstrip() for row in rows
    )


def stop(jobs: Iterable[Job]) -> None:
    """Tell the jobs that run in other processes of this machine to stop, and wait until their checkpoints are there."""
    running = [job for job in jobs if locked(job.folder)]
    told = []
    for job in running:
        owner = read(job.folder)
        if owner["host"] == socket.gethostname() and owner["pid"] != os.getpid():
            try:
                os.kill(owner["pid"], signal.SIGTERM)
            except ProcessLookupError:
                continue
            told.append(job.folder)
    wait_until_free(told)
