"""Every YAML is run for a few steps, because it exists.

Those of signals, and what they choose themselves, in `runs/test_resume_signals.py`.
"""

from __future__ import annotations

import csv
import json
import os

import pytest
import torch
from conftest import CONF
from discover import choices, group_and_name, is_default, is_read_back, needs_of, overrides

TERMS: dict[tuple[str, ...], list] = {}  # those that are for the same runs
for term in choices():
    if group_and_name(term)[0] == "loss/term":
        TERMS.setdefault(tuple(need for need in needs_of(term) if "terms.more" not in need), []).append(term)


@pytest.fixture
def undistributed():
    """No process group, nor its variables, stay behind."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "choice",
    [one for one in choices() if group_and_name(one)[0] not in ("signal", "loss/term") and not is_default(one)],
    ids=str,
)
@pytest.mark.usefixtures("undistributed")
def test_a_yaml_makes_a_finished_run(choice, fit, compose, tmp_path) -> None:
    typed = overrides(choice, tmp_path)
    assert is_read_back(compose(*typed), tmp_path)
    metrics = fit(*typed)
    assert metrics["steps"] == 2
    judged = metrics["monitor"]["name"]
    assert json.loads((metrics["folder"] / "metrics.json").read_text())[judged] == metrics[judged]


@pytest.mark.parametrize("needs", TERMS, ids=str)
def test_terms_are_added_to_a_loss(needs, fit, compose, tmp_path) -> None:
    typed: dict[str, None] = {}
    for term in TERMS[needs]:
        own = [part.replace("terms.more", f"terms.{term.name}_more") for part in overrides(term, tmp_path)]
        typed |= dict.fromkeys(own)
    assert is_read_back(compose(*typed), tmp_path)
    metrics = fit(*typed)
    assert metrics["steps"] == 2
    (row,) = csv.DictReader((metrics["folder"] / "history.csv").read_text().splitlines())
    assert {f"loss/{term.name}_more" for term in TERMS[needs]} <= row.keys()


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_a_yaml_says_what_it_is(path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# "), f"{path.name} starts with no comment"
