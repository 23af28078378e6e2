"""A folder's owner, kept in a file: the safeguard where the file system has no locks.

A lock goes with its process; a file stays. So the file names the host, the process and when that began: on the same
host, a file whose process is gone, or whose number another process has by now, is out of date. Whether a process on
another host lives cannot be seen from here: its file is believed until somebody removes it.

The files are numbered. Whoever finds only such as are out of date makes the next one, which of several processes one
can; it removes the others then.
"""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinefield.system.files import open_nonblocking


@dataclass(frozen=True)
class Owner:
    """What a file says: host and process number, None where it cannot be read, and when the process began."""

    file: Path
    host: str | None = None
    pid: int | None = None
    started: str = ""

    @property
    def living(self) -> bool:
        """Whether the process may still be there."""
        return self.pid is None or self.host != socket.gethostname() or started(self.pid) == self.started


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
        file = folder / f".owner-{max((_number(owner.file) for owner in left), default=0) + 1}.json"
        with suppress(FileExistsError), ExitStack() as cleanup:
            with file.open("xb") as opened:  # O_EXCL: it is made, or there already
                cleanup.callback(file.unlink, missing_ok=True)
                opened.write(json.dumps(own).encode())
            if any(other.living for other in _owners(folder) if other.file != file):
                return None
            clear(folder)
            cleanup.pop_all()
            return file


def owner(folder: Path) -> Owner | None:
    """The process that has claimed a folder, None for none."""
    return next((owner for owner in _owners(folder) if owner.living), None)


def clear(folder: Path) -> None:
    """Remove what processes have left that are gone; the caller has the folder's lock or claim."""
    for left in _owners(folder):
        if not left.living:
            left.file.unlink(missing_ok=True)


def started(pid: int) -> str | None:
    """When a process of this host began, as the system counts; "" where it does not tell, None without the process."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]  # clock ticks since the machine was started; see proc(5)
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def _owners(folder: Path) -> list[Owner]:
    return [found for file in folder.glob(".owner-*.json") if _number(file) and (found := _read(file)) is not None]


def _number(file: Path) -> int:
    """Of a file; 0 for what is none of ours."""
    match = re.fullmatch(r"\.owner-([0-9]{1,19})\.json", file.name)
    return int(match[1]) if match else 0


def _read(file: Path) -> Owner | None:
    """What the file says; None where it is gone."""
    try:
        with open(file, "rb", opener=open_nonblocking) as opened:
            found: Any = json.loads(opened.read(1000))
        host, pid, began = found["host"], found["pid"], found["started"]
        if isinstance(host, str) and isinstance(began, str) and type(pid) is int and 0 < pid < 2**31:
            return Owner(file, host, pid, began)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    return Owner(file)  # being written, or a copy of half of one
