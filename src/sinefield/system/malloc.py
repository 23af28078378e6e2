"""How the C library serves the memory of matrices that come and go thousands of times a second."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# Options of glibc's mallopt (malloc.h): freed memory at the end of a heap that is kept, what a heap grows by, and up to
# what size blocks come from a heap at all, which cannot be more than 32 MiB.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MIB = 2**20


@cache
def tune_malloc() -> None:
    """Keep up to 256 MiB of freed memory in the process, where glibc is at work; elsewhere nothing happens.

    It would be handed back to the system and mapped anew at the next layer, page by page and zeroed: some 300 page
    faults for every thousand points of a step.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_TRIM_THRESHOLD, 256 * _MIB)
        libc.mallopt(_TOP_PAD, 64 * _MIB)
        libc.mallopt(_MMAP_THRESHOLD, 32 * _MIB)
