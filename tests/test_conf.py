"""Every YAML is run for a few steps, because it exists."""

from __future__ import annotations

import json
import os

import pytest
import torch
from conftest import CONF, small
from discover import needed

CHOICES = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml") if path.parent != CONF)
NEEDS = {  # beside what their first lines say; several devices are tested in their own processes
    "experiment/paper/helmholtz": ["loss.terms.equation.count=100"],
    "loss/term/helmholtz_absolute": ["signal=helmholtz", "optimizer=adam", "loss.terms.more.count=50"],
    "loss/term/helmholtz_dual": ["signal=helmholtz", "loss.terms.more.nodes=19", "loss.terms.more.modes=9"],
    "signal/propagator": ["signal=inversion"],
    "signal/propagator/acoustic": ["signal=seismic"],
    "signal/rule": ["signal=merge"],
    "trainer": ["trainer.devices=1"],
}
SMALLER = {  # what makes runs of a signal small
    "signal=helmholtz": ["encoding.frequencies=40", "loss.terms.equation.nodes=19", "loss.terms.equation.modes=9"],
    "signal=seismic": ["signal.propagator.frequency=0.5"],  # Hz, for nodes of 370 m
    "experiment=inversion/marmousi": ["signal.propagator.frequency=0.5"],
    "signal=wave": ["signal.std=0.2", "signal.frames=5"],
    "signal=video": ["signal.seconds=0.4"],
    "signal=shape": ["signal.points=500", "evaluation.samples=200", "evaluation.resolution=20", "signal.start=false"],
}


@pytest.fixture
def undistributed():
    """No process group, nor its variables, stay behind."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.usefixtures("undistributed")
def test_a_yaml_makes_a_finished_run(choice, fit, tmp_path) -> None:
    parts = 1 if choice.parts[0] == "experiment" else len(choice.parts) - 1  # experiments are called by their path
    group, name = "/".join(choice.parts[:parts]), "/".join(choice.parts[parts:])
    chosen = f"+loss/term@loss.terms.more={name}" if group == "loss/term" else f"{group}={name}"
    needs = NEEDS.get(str(choice), NEEDS.get(group, needed(choice)))
    smaller = [knob for typed in (*needs, chosen) for knob in SMALLER.get(typed, [])]
    metrics = fit(*needs, chosen, *small(str(choice), tmp_path), *smaller)
    assert metrics["steps"] == 2
    judged = metrics["monitor"]["name"]
    assert json.loads((metrics["folder"] / "metrics.json").read_text())[judged] == metrics[judged]


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_a_yaml_says_what_it_is(path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# "), f"{path.name} starts with no comment"
