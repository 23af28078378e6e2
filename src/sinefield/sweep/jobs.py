"""The jobs of a sweep: what each is called, what became of it, and how all end: stopped, in a table, in a dashboard."""

import hashlib
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from sinefield.system.lock import locked, wait_until_free
from sinefield.system.shutdown import Interrupted
from sinefield.system.status import read

OPEN = ("new", "interrupted", "killed")  # neither finished nor failed
LONGEST = 100  # characters of a name: far below the 255 bytes of a file system, and readable in a terminal


def named(words: Sequence[str], identity: str) -> str:
    """A folder's name: `words`, made safe for a path and cut, and a digest of all that makes it another than others.

    >>> named(["loss=value", "signal.path=skimage:camera"], "the whole configuration")
    'loss=value+signal.path=skimage-camera-75f02a58'
    >>> len(named(["x" * 1000], "")) <= LONGEST
    True
    """
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    text = re.sub(r"[^A-Za-z0-9._=+-]+", "-", "+".join(words)).strip("-.")
    return f"{text[: LONGEST - len(digest) - 1].rstrip('-.') or 'run'}-{digest}"


@dataclass
class Job:
    """One run of a sweep."""

    overrides: list[str]
    swept: list[str]  # those of them in which it differs from the other jobs
    folder: Path
    before: bool = False  # it was finished before this sweep began
    changed: list[str] = field(default_factory=list)  # the pictures that it had read then and that are others now

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
        metrics = self.metrics
        value = metrics.get(metrics.get("monitor", {}).get("name", "psnr"))  # of older versions PSNR alone
        return float(value) if isinstance(value, int | float) else None


def table(jobs: Sequence[Job]) -> str:
    """A line per job: status, the score it is judged by, seconds in optimizer steps, overrides."""
    score = next((job.metrics["monitor"]["name"] for job in jobs if "monitor" in job.metrics), "score")
    rows = [("status", str(score), "seconds", "overrides")]
    for job in jobs:
        seconds = job.metrics.get("fit_seconds")
        before = "finished before, with another picture" if job.changed else "finished before"
        status = {"new": "not started", "finished": before if job.before else "finished"}.get(job.state, job.state)
        figures = ("-" if job.score is None else f"{job.score:.4g}", "-" if seconds is None else f"{seconds:.1f}")
        rows.append((status, *figures, " ".join(job.swept) or "(none)"))
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    return "\n".join(f"{a:{first}}  {b:>{second}}  {c:>{third}}  {d}".rstrip() for a, b, c, d in rows)


def stop(jobs: Iterable[Job]) -> None:
    """Tell the jobs that run in other processes of this machine to stop, and wait until their checkpoints are there."""
    stopped = []
    for job in [job for job in jobs if locked(job.folder)]:
        owner = read(job.folder)
        if owner["host"] == socket.gethostname() and owner["pid"] != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(owner["pid"], signal.SIGTERM)
                stopped.append(job.folder)
    wait_until_free(stopped)


@contextmanager
def stoppable(stop: Callable[[], None]) -> Iterator[None]:
    """On SIGTERM or Ctrl-C call `stop`, then leave with the signal's status; on a second one at once.

    A job in this very process has its own handlers over these while it runs.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def leave(signum: int, frame: FrameType | None) -> None:
        restore()
        stop()
        raise Interrupted(signum)

    for number in before:
        signal.signal(number, leave)
    try:
        yield
    finally:
        restore()


def conclude(jobs: Sequence[Job], folder: Path) -> list[str]:
    """Build the dashboard of a sweep's folder; lines on what went wrong and where the dashboard is."""
    from sinefield.report import dashboard  # noqa: PLC0415  Hydra reads this module at every start

    lines = [
        f"warning: {', '.join(job.changed)} changed since {job.folder} read it; remove that folder to fit it anew"
        for job in jobs
        if job.changed
    ]
    lines += [f"error: {job.error} [{' '.join(job.swept)}; {job.folder}]" for job in jobs if job.error]
    try:
        return [*lines, f"dashboard     {dashboard.build(folder)}"]
    except Exception as error:  # the runs are worth more than their picture
        return [*lines, f"error: no dashboard: {type(error).__name__}: {error}"]
