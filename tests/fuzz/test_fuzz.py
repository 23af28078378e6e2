"""Some bad inputs every day, many every night; `python tests/fuzz/guided.py knob` looks for the rest by coverage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from properties import TARGETS, seen

DAILY = {"picture": 300, "knob": 30, "folder": 15, "checkpoint": 15}
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
    bounds(target)()
    print(target.__name__, examples, dict(sorted(seen.items())))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_one_line(target) -> None:
    tried(target, DAILY[target.__name__], derandomize=True)


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@pytest.mark.filterwarnings("ignore")
def test_much_bad_input_is_one_line(target) -> None:
    tried(target, NIGHTLY[target.__name__], derandomize=False)
