"""Matrices that come and go are served from memory that the process keeps."""

import ctypes
import platform

import numpy as np
import pytest

from sinefield.system.malloc import tune_malloc

FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def mapped() -> int:
    """How many blocks the process has from the system each on its own, by glibc's own count."""
    count = ctypes.CDLL(None).mallinfo2
    count.restype = Mallinfo
    return count().hblks


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the options")
def test_only_very_large_matrices_are_asked_of_the_system():
    """A block of 1 to 24 MiB comes from the heap, which is kept; one of 1 GiB is mapped, and counted."""
    tune_malloc()
    before = mapped()
    kept = [np.full(mib * 2**18, 1.0, dtype=np.float32) for mib in (1, 8, 24)]
    assert mapped() == before
    kept.append(np.empty(2**28, dtype=np.float32))
    assert mapped() == before + 1
