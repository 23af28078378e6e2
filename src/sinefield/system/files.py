"""Files that are either whole or not there."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sinefield.errors import UserError


class UnwritableError(UserError):
    """The system refuses a file: no room, no permission. The run is not at fault and can go on later."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise an `UnwritableError` that names `path` in place of any OSError."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written ({error.strerror or error})") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` on leaving, or leaves nothing where an exception is raised.

    A kill at any moment leaves the old file, or none, and perhaps a draft for `remove_temporary_files`.

    Raises:
        UnwritableError: what was there before is there still.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with writing(path):
        try:
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def open_nonblocking(path: str, flags: int) -> int:
    """An opener for `open` that neither follows a link nor waits at a pipe, but raises an OSError."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` by `atomic_write`."""
    with atomic_write(path) as file:
        file.write(content)


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into a folder, by name, where they are not there as they should be."""
    for name, text in texts.items():
        path = folder / name
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_bytes() != text.encode():
            write_atomically(path, text.encode())


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed processes have left in a folder and below; nobody else may be writing there."""
    for draft in folder.rglob(".*.draft"):
        draft.unlink(missing_ok=True)
