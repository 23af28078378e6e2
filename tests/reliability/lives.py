"""Lives of `train.py`, each a process of its own, and what may befall one at any moment at which it touches a file.

A moment is when something below the working folder is about to be opened for writing, renamed or removed, or when
what was written is about to be forced to the disk.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from processes import TRAIN, become, fork

EVENTS = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0, "shutil.rmtree": 0}  # and which argument is the path


@dataclass(frozen=True)
class Signalled:
    """The signal reaches the life at one moment, in the middle of what it writes."""

    number: int

    def __call__(self, again: bool, event: str, half: Callable[[], None]) -> None:
        if again:
            return
        if self.number == signal.SIGKILL:
            half()
        os.kill(os.getpid(), self.number)


@dataclass(frozen=True)
class Refused:
    """The system refuses to write from one moment on; what is there can still be removed."""

    number: int  # an errno

    def __call__(self, again: bool, event: str, half: Callable[[], None]) -> None:
        if event not in ("os.remove", "shutil.rmtree"):
            raise OSError(self.number, os.strerror(self.number))


@dataclass(frozen=True)
class Starved:
    """There is hardly any memory from one moment on."""

    spare: int  # bytes

    def __call__(self, again: bool, event: str, half: Callable[[], None]) -> None:
        if not again:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + self.spare
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


Fault = Signalled | Refused | Starved


class Moments:
    """Counts the moments of this process into a file and lets a fault strike at one of them, and from it on.

    Args:
        place: below which a file counts.
        log: gets a line per moment.
        at: the number of the moment, from 1, or the end of the path of a file that is about to be written.
        fault: called from there on with whether it is not the first time, with the event, and with what halves the
            file that is being written.
    """

    def __init__(self, place: Path, log: Path, at: int | str, fault: Fault | None) -> None:
        self.place, self.at, self.fault = str(place), at, fault
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.count = 0
        self.struck = False
        self.fsync = os.fsync
        os.fsync = self._synced
        sys.addaudithook(self._event)

    def _event(self, name: str, arguments: tuple) -> None:
        if name == "open":
            path, _, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._moment(name, path)
        elif name in EVENTS:
            self._moment(name, arguments[EVENTS[name]])

    def _synced(self, descriptor: int) -> None:
        half = os.fstat(descriptor).st_size // 2
        self._moment("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), lambda: os.truncate(descriptor, half))
        self.fsync(descriptor)

    def _moment(self, name: str, path: object, half: Callable[[], None] = lambda: None) -> None:
        if not isinstance(path, str | Path) or not str(path).startswith(self.place):
            return
        plain = re.sub(r"/\.([^/]+)\.\d+\.draft$", r"/\1", str(path))
        self.count += 1
        os.write(self.log, f"{name} {plain}\n".encode())
        here = self.count == self.at or (isinstance(self.at, str) and name == "open" and plain.endswith(self.at))
        if self.fault is not None and (self.struck or here):
            again, self.struck = self.struck, True
            self.fault(again, name, half)


def _live(arguments: list[str], place: Path, environment: dict[str, str], at: int | str, fault: Fault | None) -> None:
    (place / "said").unlink(missing_ok=True)  # of an earlier life
    Moments(place / "run", place / "moments", at, fault)
    become(TRAIN, arguments, place, environment, place / "said", place / "said")


@dataclass(frozen=True)
class Ended:
    """How a life ended: its status as of subprocess, what it said, and its moments in order."""

    status: int
    said: str
    moments: list[str]


def begin(*arguments: str, place: Path, at: int | str = 0, fault: Fault | None = None) -> BaseProcess:
    """Start `train.py` with some arguments in a folder."""
    return fork(_live, list(arguments), place, dict(os.environ), at, fault)


def end(process: BaseProcess, place: Path) -> Ended:
    """Wait for the end of a life that was begun in a folder."""
    process.join(300)
    status = process.exitcode
    if status is None:
        process.kill()
        raise AssertionError("a life did not end: " + (place / "said").read_text())
    said, moments = ((place / name).read_text() if (place / name).exists() else "" for name in ("said", "moments"))
    return Ended(status, said, moments.splitlines())


def live(*arguments: str, place: Path, at: int | str = 0, fault: Fault | None = None) -> Ended:
    """A whole life of `train.py`; the fault strikes at the given moment."""
    return end(begin(*arguments, place=place, at=at, fault=fault), place)
