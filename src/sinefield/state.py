"""What a run folder says of its run: status.json, beside metrics.json, which alone makes a run a finished one."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from sinefield.errors import UserError
from sinefield.files import UnwritableError, remove_drafts, waitless, write_whole, writing

GRACE = 120  # seconds that a run has to end its step and write its checkpoint
ENDED = (KeyboardInterrupt, SystemExit, UnwritableError)  # from outside, and no fault of the run: it is "interrupted"


class Status:
    """Keeps `<folder>/status.json` true while a run is in its folder, and every other run out of it.

    state is "running", "interrupted" (can be continued; error says by what, unless it was a signal), "failed" (error is
    one line) or "finished"; host, pid and since (ISO 8601, UTC) are of the process that wrote it. A process killed at
    once leaves "running" behind: its lock on the folder is gone with it, which `read` turns into "killed".

    Args:
        folder: of the run; nothing is written while it is not there.

    Raises:
        UserError: another process is running in the folder.
        UnwritableError: the folder is not ours to write in, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self.folder.is_dir():
            self.running()
        return self

    def running(self) -> None:
        """Lock the folder, which is there by now, and say so; what a killed process was writing is removed."""
        if self._lock is not None:
            return
        lock = acquired(self.folder)
        if lock is None:
            owner = _saved(self.folder)
            raise UserError(
                f"{self.folder} is being run by process {owner.get('pid')} on {owner.get('host')}; wait for it, or "
                "choose another hydra.run.dir"
            )
        self._lock = lock
        remove_drafts(self.folder)
        self._write("running", None)

    def finished(self) -> None:
        """Say so just before metrics.json is written: nobody comes again to tidy up what is written after it."""
        self._write("finished", None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is None:
            return
        try:
            if error is not None and not (self.folder / "metrics.json").is_file():
                with suppress(UnwritableError):  # a full disk must not hide what went wrong
                    self._ended(error)
        finally:
            self._lock.close()
            self._lock = None

    def _ended(self, error: BaseException) -> None:
        said = None if isinstance(error, KeyboardInterrupt | SystemExit) else one_line(error)
        self._write("interrupted" if isinstance(error, ENDED) else "failed", said)
        if not isinstance(error, (*ENDED, UserError)):
            write_whole(self.folder / "error.txt", "".join(traceback.format_exception(error)).encode())

    def _write(self, state: str, error: str | None) -> None:
        where = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        content = {"state": state, "error": error, **where}
        write_whole(self.folder / "status.json", (json.dumps(content, indent=2) + "\n").encode())


class Elsewhere(Status):
    """For the other processes of a run: the first one keeps its status."""

    def running(self) -> None:
        """Nothing."""


def one_line(error: BaseException) -> str:
    """The message of an error on one line of 500 characters at most, with its kind unless it is meant for users."""
    message = " ".join(str(error).split())[:500]
    return message if isinstance(error, UserError) else f"{type(error).__name__}: {message}".rstrip(": ")


def read(folder: Path) -> dict[str, Any]:
    """status.json with a true state, which may also be "new" (nothing there) or "killed" (left without a word)."""
    alive = locked(folder)  # asked first: what a run leaves that ends meanwhile is seen by what follows
    saved = {"state": "new", "error": None, "host": None, "pid": None, "since": None} | _saved(folder)
    if (folder / "metrics.json").is_file():
        return saved | {"state": "finished", "error": None}
    if saved["state"] in ("running", "finished"):
        if alive:
            return saved | {"state": "running"}
        error = "ended without a word: killed, out of memory, or the disk is full"
        return saved | {"state": "killed", "error": error}
    return saved


def locked(folder: Path) -> bool:
    """Whether a living process is running in the folder."""
    try:
        with open(folder / ".lock", "rb", opener=waitless) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def acquired(folder: Path) -> BinaryIO | None:
    """The lock on a folder, had until it is closed; None where another process has it.

    Tried for a second, since whoever asks whether a folder is `locked` locks it for a moment.

    Raises:
        UnwritableError: the folder is not ours to write in.
    """
    with writing(folder / ".lock"):
        file = open(folder / ".lock", "ab", opener=waitless)  # noqa: SIM115  held on to by the caller
    end = time.monotonic() + 1
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                file.close()
                return None
            time.sleep(0.01)
        else:
            return file


def wait_until_free(folders: Iterable[Path], seconds: float = GRACE) -> None:
    """Return when no process is running in any of the folders, or after some seconds."""
    waited_for, end = list(folders), time.monotonic() + seconds
    while any(locked(folder) for folder in waited_for) and time.monotonic() < end:
        time.sleep(0.05)


def _saved(folder: Path) -> dict[str, Any]:
    """What status.json says, as far as it has the form of one: anybody may have written it."""
    file = folder / "status.json"
    try:
        found = json.loads(file.read_text()) if file.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    kinds = {"state": str, "error": str | None, "host": str, "pid": int, "since": str}
    given = found.items() if isinstance(found, dict) else ()
    known: dict[str, Any] = {key: value for key, value in given if key in kinds and isinstance(value, kinds[key])}
    return known if known.get("pid", 1) > 0 else {}  # a signal to any other would reach more than a process
