"""Where the file system has no locks, a file keeps two runs out of one folder, and no run out for ever."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import SMALL

from sinefield.errors import UserError
from sinefield.system.lock import acquired, claim, living_owners, locked, started
from sinefield.system.status import Status, read

NAME = ".owner-1.json"
LOCKLESS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.EPERM]
TAKEN = [errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES]


@pytest.fixture
def flock_fails(monkeypatch):
    def fail(number: int) -> None:
        def flock(file, kind) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return fail


def claimed(folder: Path, **changed) -> None:
    """As a process has left it that was killed, or is elsewhere."""
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}
    (folder / NAME).write_text(json.dumps(own | changed))


@pytest.mark.parametrize("number", LOCKLESS, ids=os.strerror)
def test_a_run_goes_on_without_locks_says_so_and_keeps_others_out(number, flock_fails, fit, tmp_path, caplog) -> None:
    flock_fails(number)
    fit(*SMALL, "logger=none")
    assert f"no locks here ({os.strerror(number)})" in caplog.text
    assert read(tmp_path / "run")["state"] == "finished"
    assert not (tmp_path / "run" / NAME).exists()
    (tmp_path / "taken").mkdir()
    with Status(tmp_path / "taken"):
        assert locked(tmp_path / "taken")
        assert read(tmp_path / "taken")["state"] == "running"
        with pytest.raises(UserError, match=f"is being run by process {os.getpid()} on {socket.gethostname()}"):
            fit(*SMALL, folder="taken")
    assert not locked(tmp_path / "taken")


@pytest.mark.parametrize("number", TAKEN, ids=lambda number: errno.errorcode[number])
def test_a_lock_that_another_process_has_is_waited_for_and_respected(number, flock_fails, tmp_path) -> None:
    flock_fails(number)
    assert acquired(tmp_path) is None
    assert locked(tmp_path)
    with pytest.raises(UserError, match="is being run by another process; wait for it"):
        Status(tmp_path).__enter__()
    assert os.listdir(tmp_path) == [".lock"]


def test_the_file_of_a_process_that_is_gone_is_replaced(flock_fails, tmp_path) -> None:
    flock_fails(errno.ENOLCK)
    with subprocess.Popen(["true"]) as gone:
        pass
    for left in ({"pid": gone.pid}, {"started": "1"}):  # the second: its number has been given to another
        claimed(tmp_path, **left)
        (tmp_path / ".lock").touch()
        assert not locked(tmp_path)
        with acquired(tmp_path):
            assert json.loads((tmp_path / ".owner-2.json").read_text())["pid"] == os.getpid()
            assert [owner.pid for owner in living_owners(tmp_path)] == [os.getpid()]
            assert not (tmp_path / NAME).exists()
        assert os.listdir(tmp_path) == [".lock"]


def test_a_zombie_owns_nothing(tmp_path) -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert started(process.pid) is None
    process.wait()


@pytest.mark.parametrize("changed", [{}, {"host": "elsewhere", "started": "1"}])
@pytest.mark.parametrize("number", [None, errno.ENOLCK])
def test_the_file_of_another_process_is_believed_and_named(changed, number, flock_fails, tmp_path) -> None:
    if number is not None:
        flock_fails(number)
    claimed(tmp_path, **changed)
    (tmp_path / ".lock").touch()
    assert locked(tmp_path)
    with pytest.raises(UserError, match=r"run by process .*; if that is gone, remove .*\.owner-1\.json"):
        Status(tmp_path).__enter__()
    (tmp_path / NAME).unlink()
    with Status(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}', b'{"host": "a", "pid": -1, "started": "1"}'])
def test_a_file_that_says_nothing_is_no_traceback(content, flock_fails, tmp_path) -> None:
    flock_fails(errno.ENOLCK)
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UserError, match=r"run by another process; .*remove .*\.owner-1\.json"):
        Status(tmp_path).__enter__()


def test_one_of_many_has_the_folder_even_where_a_killed_one_has_left_its_file(flock_fails, tmp_path) -> None:
    flock_fails(errno.ENOLCK)
    for _ in range(20):
        claimed(tmp_path, started="1")
        had: list[Path | None] = []
        threads = [threading.Thread(target=lambda had=had: had.append(claim(tmp_path))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (file,) = filter(None, had)
        assert os.listdir(tmp_path) == [file.name]
        file.unlink()


def test_a_lock_that_works_clears_what_a_killed_process_has_left(tmp_path) -> None:
    claimed(tmp_path, started="1")
    with acquired(tmp_path):
        assert os.listdir(tmp_path) == [".lock"]
