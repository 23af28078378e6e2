"""Files that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def waitless(path: str, flags: int) -> int:
    """An opener for `open` that neither follows a link nor waits at a pipe: an OSError, where there is one."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` so that a kill at any moment leaves the old file, or none, but never half of the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
