"""One process at a time in a folder: a lock on its `.lock`, or a file that names the owner where there are no locks.

A lock goes with its process; a file stays. So the file names the host, the process and when that began: on the same
host, a file whose process is gone, or whose number another process has by now, is out of date. Whether a process on
another host lives cannot be seen from here: its file is believed until somebody removes it.

The files are numbered. Whoever finds only such as are out of date makes the next one, which of several processes one
can; it removes the others then.
"""

import errno
import fcntl
import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinefield.system.files import open_nonblocking, writing

GRACE = 120  # seconds that a run has to end its step and write its checkpoint
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # flock: another process has it; all else: there are no locks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """What a file says: host and process number, None where it cannot be read, and when the process began."""

    file: Path
    number: int
    host: str | None = None
    pid: int | None = None
    started: str = ""

    @property
    def living(self) -> bool:
        """Whether the process may still be there."""
        return self.pid is None or self.host != socket.gethostname() or started(self.pid) == self.started


def locked(folder: Path) -> bool:
    """Whether a living process is running in the folder."""
    try:
        file = open(folder / ".lock", "rb", opener=open_nonblocking)  # noqa: SIM115  closed below
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    with file, suppress(OSError):  # no locks: then its owner's file decides
        if not _flock(file.fileno(), fcntl.LOCK_SH):
            return True
    return bool(living_owners(folder))


def acquired(folder: Path) -> ExitStack | None:
    """The lock on a folder, had until it is closed; None where another process has it.

    Tried for a second, since whoever asks whether a folder is `locked` locks it for a moment. Where the file system
    has no locks, a file that names this process takes its place, and a warning says so.

    Raises:
        UnwritableError: the folder is not ours to write in.
    """
    with ExitStack() as lock:
        with writing(folder / ".lock"):
            file = lock.enter_context(open(folder / ".lock", "ab", opener=open_nonblocking))
        end = time.monotonic() + 1
        try:
            while not _flock(file.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > end:
                    return None
                time.sleep(0.01)
        except OSError as error:
            said = "%s: no locks here (%s); a file .owner-1.json keeps other runs out instead"
            log.warning(said, folder, error.strerror)
            with writing(folder / ".owner-1.json"):
                own = claim(folder)
            if own is None:
                return None
            lock.callback(own.unlink, missing_ok=True)
        else:
            if living_owners(folder):  # a process has it that sees no locks here, on another machine
                return None
            _clear(folder)
        return lock.pop_all()


def wait_until_free(folders: Iterable[Path], seconds: float = GRACE) -> None:
    """Return when no process is running in any of the folders, or after some seconds."""
    waited_for, end = list(folders), time.monotonic() + seconds
    while any(locked(folder) for folder in waited_for) and time.monotonic() < end:
        time.sleep(0.05)


def living_owners(folder: Path) -> list[Owner]:
    """The processes that have made themselves owners of a folder and may still be there."""
    return [owner for owner in _owners(folder) if owner.living]


def claim(folder: Path) -> Path | None:
    """Make this process the owner of a folder, until the returned file is removed; None where another one is.

    Raises:
        OSError: the file cannot be written.
    """
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}
    while True:
        left = _owners(folder)  # one look for both: whoever looks in the same moment comes to the same number
        if any(owner.living for owner in left):
            return None
        file = folder / f".owner-{max((owner.number for owner in left), default=0) + 1}.json"
        with suppress(FileExistsError), ExitStack() as cleanup:
            with file.open("xb") as opened:  # O_EXCL: it is made, or there already
                cleanup.callback(file.unlink, missing_ok=True)
                opened.write(json.dumps(own).encode())
            if any(other.file != file for other in living_owners(folder)):
                return None
            _clear(folder)
            cleanup.pop_all()
            return file


def started(pid: int) -> str | None:
    """When a process of this host began, as the system counts; "" where it does not tell, None without the process."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]  # clock ticks since the machine was started; see proc(5)
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)  # sends nothing
        except ProcessLookupError:
            return None
    return ""


def _clear(folder: Path) -> None:
    """Remove what processes have left that are gone; the caller has the folder's lock or is its owner."""
    for left in _owners(folder):
        if not left.living:
            left.file.unlink(missing_ok=True)


def _owners(folder: Path) -> list[Owner]:
    found = []
    for file in folder.glob(".owner-*.json"):
        match = re.fullmatch(r"\.owner-([0-9]{1,19})\.json", file.name)
        if match and (number := int(match[1])):
            with suppress(FileNotFoundError):
                found.append(Owner(file, number, **_content(file)))
    return found


def _content(file: Path) -> dict[str, Any]:
    """What the file says; nothing where it is being written, or a copy of half of one."""
    try:
        with open(file, "rb", opener=open_nonblocking) as opened:
            found: Any = json.loads(opened.read(1000))
        kinds = {"host": str, "pid": int, "started": str}
        content = {name: found[name] for name, kind in kinds.items() if type(found[name]) is kind}
        return content if len(content) == len(kinds) and 0 < content["pid"] < 2**31 else {}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _flock(descriptor: int, kind: int) -> bool:
    """Try for a lock; False where another process has it; OSError where there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise
    return True
