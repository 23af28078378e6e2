"""What a run folder says of its run: status.json, beside metrics.json, which alone makes a run a finished one."""

import json
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sinefield.errors import CheckpointError, UserError, require
from sinefield.system.files import UnwritableError, remove_temporary_files, write_atomically, write_texts
from sinefield.system.lock import acquired, living_owners, locked

ENDED = (KeyboardInterrupt, SystemExit, UnwritableError)  # from outside, and no fault of the run: it is "interrupted"


class Status:
    """Keeps `<folder>/status.json` true while a run is in its folder, and every other run out of it.

    state is "running", "interrupted" (can be continued; error says by what, unless it was a signal), "failed" (error is
    one line) or "finished"; host, pid and since (ISO 8601, UTC) are of the process that wrote it. A process killed at
    once leaves "running" behind: its lock on the folder is gone with it, which `read` turns into "killed".

    Args:
        folder: of the run; nothing is written while it is not there.
        check: is given what `read` returns, with the lock held, before anything is written; it raises to prevent that.
        texts: further files to write by then, by name; those of a finished run are left as they are.

    Raises:
        UserError: another process is running in the folder.
        UnwritableError: the folder is not ours to write in, or the disk is full.
    """

    def __init__(
        self,
        folder: Path,
        check: Callable[[dict[str, Any]], None] = lambda found: None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.check = check
        self.texts = texts or {}
        self.resumable = False  # a checkpoint is there, and no step has been taken since: errors leave "interrupted"
        self._before = "new"
        self._lock: ExitStack | None = None

    def __enter__(self) -> Self:
        if self.folder.is_dir():
            self.running()
        return self

    def running(self) -> None:
        """Lock the folder, which is there by now, and write so; what a killed process was writing is removed."""
        if self._lock is not None:
            return
        lock = acquired(self.folder)
        if lock is None:
            owner, saved = next(iter(living_owners(self.folder)), None), _saved(self.folder)
            pid, host = (owner.pid, owner.host) if owner is not None else (saved.get("pid"), saved.get("host"))
            whom = "another process" if None in (pid, host) else f"process {pid} on {host}"
            gone = "" if owner is None else f"; if that is gone, remove {owner.file}"
            raise UserError(f"{self.folder} is being run by {whom}; wait for it, or choose another hydra.run.dir{gone}")
        try:
            found = read(self.folder, alive=False)
            self.check(found)
            self._before = found["state"]
        except BaseException:
            lock.close()
            raise
        self._lock = lock
        remove_temporary_files(self.folder)
        self._write("running", None)
        if not (self.folder / "metrics.json").exists():
            write_texts(self.folder, self.texts)

    def stepped(self) -> None:
        """The run is beyond its checkpoint: what goes wrong from here on is its own."""
        self.resumable = False

    def finished(self) -> None:
        """Say so just before metrics.json is written: nobody comes again to tidy up what is written after it."""
        self._write("finished", None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is None:
            return
        try:
            with suppress(UnwritableError):  # a full disk must not hide what went wrong
                if error is not None and not (self.folder / "metrics.json").is_file():
                    self._ended(error)
                elif error is not None and _saved(self.folder).get("state") == "running":
                    self.finished()  # a finished run that was to be made longer is as it was
        finally:
            self._lock.close()
            self._lock = None

    def _ended(self, error: BaseException) -> None:
        said = None if isinstance(error, KeyboardInterrupt | SystemExit) else one_line(error)
        kept = self.resumable and self._before != "failed" and not isinstance(error, CheckpointError)
        self._write("interrupted" if kept or isinstance(error, ENDED) else "failed", said)
        if not isinstance(error, (*ENDED, UserError)):
            write_atomically(self.folder / "error.txt", "".join(traceback.format_exception(error)).encode())

    def _write(self, state: str, error: str | None) -> None:
        where = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        content = {"state": state, "error": error, **where}
        write_atomically(self.folder / "status.json", (json.dumps(content, indent=2) + "\n").encode())


class NullStatus(Status):
    """For the other processes of a run: the first one keeps its status."""

    def running(self) -> None:
        """Nothing."""


def one_line(error: BaseException) -> str:
    """The message of an error on one line of 500 characters at most, with its kind unless it is meant for users."""
    message = " ".join(str(error).split())[:500]
    return message if isinstance(error, UserError) else f"{type(error).__name__}: {message}".rstrip(": ")


def read(folder: Path, alive: bool | None = None) -> dict[str, Any]:
    """status.json with a true state, which may also be "new" (nothing there) or "killed" (left without a word).

    `alive` is whether a process is running in the folder, where that is known.
    """
    alive = locked(folder) if alive is None else alive  # asked first: a run may end meanwhile, which what follows sees
    saved = {"state": "new", "error": None, "host": None, "pid": None, "since": None} | _saved(folder)
    if (folder / "metrics.json").is_file():
        return saved | {"state": "finished", "error": None}
    if saved["state"] in ("running", "finished"):
        if alive:
            return saved | {"state": "running"}
        error = "ended without a word: killed, out of memory, or the disk is full"
        return saved | {"state": "killed", "error": error}
    return saved


def refuse(folder: Path, found: dict[str, Any], resume: bool, longer: Callable[[], bool]) -> None:
    """Raise `UserError` for a folder, of which `read` returned `found`, that holds another run.

    `resume` is whether the run shall go on, and `longer` whether it takes more steps than a finished one has taken.
    """
    finished = found["state"] == "finished" and not (resume and longer())
    require(not finished, f"{folder} holds a finished run; choose another hydra.run.dir")
    left = (folder / "checkpoints" / "last.ckpt").is_file() and found["state"] != "failed"
    require(resume or not left, f"{folder} holds an unfinished run; resume={folder} continues it")


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
