"""Whether the files that a run has read are still the same: a digest of each is in its config.yaml, derived.files."""

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from sinefield.errors import require
from sinefield.report.parsing import parsed_yaml

_WHOLE = 2**26  # bytes of a file that are all read; of a larger one as many, in blocks at equal distances
_BLOCK = 2**16


def fingerprints(files: Iterable[str]) -> dict[str, str]:
    """The digest of every file or folder that is there, by its path as given."""
    return {file: digest for file in files if (digest := _fingerprint(file)) is not None}


def changed(folder: Path) -> list[str]:
    """The files that the run in a folder has read and that are others now; not those that are gone.

    [] for a run that has kept no digests.
    """
    try:
        recorded = parsed_yaml(folder / "config.yaml")["derived"]["files"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # none, or anybody's
        return []
    return [file for file, digest in recorded if isinstance(file, str) and _fingerprint(file) not in (None, digest)]


def require_unchanged(folder: Path) -> None:
    """Raise `UserError` where a file is another than the run in the folder has read."""
    files = ", ".join(repr(file) for file in changed(folder))
    require(files == "", f"{files} changed since {folder} read it; put the old file back, or start a new run")


def _fingerprint(file: str) -> str | None:
    """Of a file its bytes and length, of a folder the names in it, as SHA-256; None where it cannot be read."""
    try:
        status = os.stat(file)
        return _digest(os.path.abspath(file), status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1024)  # a sweep asks for the same pictures in every job
def _digest(file: str, size: int, modified: int) -> str:
    if os.path.isdir(file):
        return hashlib.sha256("\n".join(sorted(os.listdir(file))).encode(errors="surrogateescape")).hexdigest()
    digest, blocks = hashlib.sha256(str(size).encode()), -(-min(size, _WHOLE) // _BLOCK)
    with open(file, "rb") as stream:
        for block in range(blocks):
            stream.seek(block * _BLOCK if size <= _WHOLE else (size - _BLOCK) * block // (blocks - 1))
            digest.update(stream.read(_BLOCK))
    return digest.hexdigest()
