"""One process at a time in a folder: a lock on its `.lock`, or a file that names the owner where there are no locks."""

from __future__ import annotations

import errno
import fcntl
import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from sinefield.system import claim
from sinefield.system.files import open_nonblocking, writing

GRACE = 120  # seconds that a run has to end its step and write its checkpoint
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # flock: another process has it; all else: there are no locks

log = logging.getLogger(__name__)


def locked(folder: Path) -> bool:
    """Whether a living process is running in the folder."""
    try:
        file = open(folder / ".lock", "rb", opener=open_nonblocking)  # noqa: SIM115  closed below
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    with file, suppress(OSError):  # no locks: then its claim decides
        if not _flock(file.fileno(), fcntl.LOCK_SH):
            return True
    return claim.owner(folder) is not None


def acquired(folder: Path) -> ExitStack | None:
    """The lock on a folder, had until it is closed; None where another process has it.

    Tried for a second, since whoever asks whether a folder is `locked` locks it for a moment. Where the file system
    has no locks, a file that names this process takes its place, and a warning says so.

    Raises:
        UnwritableError: the folder is not ours to write in.
    """
    lock = ExitStack()
    with writing(folder / ".lock"):
        file = lock.enter_context(open(folder / ".lock", "ab", opener=open_nonblocking))  # noqa: SIM115  closed with it
    end = time.monotonic() + 1
    try:
        while not _flock(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > end:
                lock.close()
                return None
            time.sleep(0.01)
    except OSError as error:
        log.warning("%s: no locks here (%s); a file .owner-1.json keeps other runs out instead", folder, error.strerror)
        with writing(folder / ".owner-1.json"):
            file_of_ours = claim.claim(folder)
        if file_of_ours is not None:
            lock.callback(file_of_ours.unlink, missing_ok=True)
            return lock
    else:
        if claim.owner(folder) is None:  # else a process has it that sees no locks here, on another machine
            claim.clear(folder)
            return lock
    lock.close()
    return None


def _flock(descriptor: int, kind: int) -> bool:
    """Try for a lock; False where another process has it; OSError where there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise
    return True


def wait_until_free(folders: Iterable[Path], seconds: float = GRACE) -> None:
    """Return when no process is running in any of the folders, or after some seconds."""
    waited_for, end = list(folders), time.monotonic() + seconds
    while any(locked(folder) for folder in waited_for) and time.monotonic() < end:
        time.sleep(0.05)
