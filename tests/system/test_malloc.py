"""Freed memory is taken again without asking the system."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy
from sinefield.system.malloc import tune_malloc

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        kept = [numpy.full(2**18, 1.0, dtype=numpy.float32) for _ in range(10)]  # 10 MiB
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
tune_malloc()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the options")
def test_matrices_that_come_and_go_cause_no_page_faults():
    """Counted by the system, in a process of its own; before, they do."""
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, found.stdout.split())
    assert before > 1000
    assert after < 100
