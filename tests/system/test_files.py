"""A file is whole or not there."""

import errno
import os
from pathlib import Path

import pytest

from sinefield.system.files import UnwritableError, remove_temporary_files, write_atomically


def test_the_content_is_written_and_replaces_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, b"old")
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnwritableError, match=r"a.txt cannot be written \(No space left on device\)"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    kept = [tmp_path / name for name in ("a.txt", ".lock", "draft", "a.draft")]
    for file in (*kept, tmp_path / ".a.txt.1.draft", tmp_path / "checkpoints" / ".b.99.draft"):
        file.write_bytes(b"half")
    remove_temporary_files(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
