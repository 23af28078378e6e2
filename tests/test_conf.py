"""Every YAML is run for a few steps, because it exists."""

from __future__ import annotations

import json
import os

import pytest
import torch
from conftest import CONF
from discover import choices, overrides


@pytest.fixture
def undistributed():
    """No process group, nor its variables, stay behind."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("choice", choices(), ids=str)
@pytest.mark.usefixtures("undistributed")
def test_a_yaml_makes_a_finished_run(choice, fit, tmp_path) -> None:
    metrics = fit(*overrides(choice, tmp_path))
    assert metrics["steps"] == 2
    judged = metrics["monitor"]["name"]
    assert json.loads((metrics["folder"] / "metrics.json").read_text())[judged] == metrics[judged]


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_a_yaml_says_what_it_is(path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# "), f"{path.name} starts with no comment"
