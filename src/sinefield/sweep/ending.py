"""How a sweep ends: signals reach every job, errors are named, and the dashboard is built."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sinefield.report import dashboard
from sinefield.sweep.jobs import Job
from sinefield.system.shutdown import Interrupted


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
