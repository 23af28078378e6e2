"""Names of folders: readable, bounded, safe, and different where anything is different."""

from __future__ import annotations

import re

import pytest

from sinefield.sweep.jobs import LONGEST, named

HOSTILE = ["a/../../b", "..", "", "sp ace", "ünï", "x" * 5000, "a\nb", "'; rm -rf", "-rf", "a=${b}", "a,b", "\0"]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_name_is_one_safe_part_of_a_path(word) -> None:
    name = named([word], "x")
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*-[0-9a-f]{8}", name)
    assert len(name) <= LONGEST


def test_another_identity_is_another_name_and_the_same_is_the_same() -> None:
    words = ["loss=value"]
    assert named(words, "a") == named(words, "a") != named(words, "b")
    assert named(words, "a").startswith("loss=value-")
