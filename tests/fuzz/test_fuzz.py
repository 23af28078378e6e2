"""Some bad inputs in `make test`, more in `make test-all`, many every night.

`python tests/fuzz/guided.py knob` looks for others by coverage.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from properties import TARGETS, seen

QUICK = {"picture": 300, "knob": 10, "folder": 6, "checkpoint": 8}
SLOW = {"picture": 2_000, "knob": 60, "folder": 40, "checkpoint": 40}
NIGHTLY = {"picture": 50_000, "knob": 5_000, "folder": 3_000, "checkpoint": 3_000}


def tried(target, examples: int, derandomize: bool) -> None:
    """Hold a property to so many inputs; what became of them goes to the test's output."""
    seen.clear()
    bounds = settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    vars(target).pop("_hypothesis_internal_settings_applied", None)  # of another test in this process, with others
    bounds(target)()
    print(target.__name__, examples, dict(sorted(seen.items())))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_one_line(target) -> None:
    tried(target, QUICK[target.__name__], derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@pytest.mark.filterwarnings("ignore")
def test_more_bad_input_is_one_line(target) -> None:
    tried(target, SLOW[target.__name__], derandomize=True)


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@pytest.mark.filterwarnings("ignore")
def test_much_bad_input_is_one_line(target) -> None:
    tried(target, NIGHTLY[target.__name__], derandomize=False)
