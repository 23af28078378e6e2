"""Names of folders that say what is in them, and are the same whenever the same is asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MOST = 100  # characters of a name: far below the 255 bytes of a file system, and readable in a terminal


def named(words: Sequence[str], identity: str) -> str:
    """`words`, made safe for a path and cut to a bounded length, and a digest of `identity`.

    Args:
        words: such as overrides; what is not a letter, a digit or one of ``._=+-`` becomes a dash.
        identity: everything that makes this folder another than its neighbours.

    >>> named(["loss=value", "signal.path=skimage:camera"], "the whole configuration")
    'loss=value+signal.path=skimage-camera-75f02a58'
    >>> len(named(["x" * 1000], "")) <= MOST
    True
    """
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    text = re.sub(r"[^A-Za-z0-9._=+-]+", "-", "+".join(words)).strip("-.")
    return f"{text[: MOST - len(digest) - 1].rstrip('-.') or 'run'}-{digest}"
