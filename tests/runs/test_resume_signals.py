"""Runs of every signal resume bit for bit: whatever a signal, its terms, its optimizer and its evaluation keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import CONF, SMALL
from discover import concrete, is_read_back, overrides
from processes import assert_same, known

from sinefield.evaluation.base import Evaluation
from sinefield.runs.train import train

SIGNALS = [Path("signal", file.stem) for file in sorted((CONF / "signal").glob("*.yaml"))]
OTHERS = {
    "some sources in each step": [*SMALL, "signal=inversion", "signal.propagator.wavenumbers=[4]",
                                  "loss.terms.data.sources=2"],
    "between two solves of the head": [*SMALL, "optimizer=alternating", "optimizer.every=2", "data.batch_size=null",
                                       "trainer.gradient_clip_val=0.1"],
}  # fmt: skip


@pytest.fixture
def goes_on(fit, compose, stopped_at, monkeypatch, tmp_path):
    """Four steps, stopped by SIGTERM in the third, behind an evaluation, and resumed: the same as without a stop."""

    def check(*run: str) -> None:
        run = (*run, "trainer.max_steps=4")
        assert is_read_back(compose(*run), tmp_path)
        metrics = fit(*run, folder="whole")
        judged = metrics["monitor"]["name"]
        assert metrics["steps"] == 4
        assert json.loads((tmp_path / "whole" / "metrics.json").read_text())[judged] == metrics[judged]
        for kind in concrete(Evaluation):
            monkeypatch.setattr(kind, "draw", lambda *_: {"none": None})  # of weights, which are compared
        with stopped_at(3):
            train(compose(*run), tmp_path / "run")
        train(compose(*run), tmp_path / "run", resume=True)
        assert_same(known(tmp_path / "whole"), known(tmp_path / "run"))

    return check


@pytest.mark.parametrize("choice", SIGNALS, ids=lambda choice: choice.name)
def test_an_interrupted_run_of_a_signal_goes_on_as_if_nothing_had_happened(choice, goes_on, tmp_path) -> None:
    goes_on(*overrides(choice, tmp_path))


@pytest.mark.parametrize("case", OTHERS)
def test_so_does_what_hangs_on_the_number_of_the_step(case, goes_on) -> None:
    goes_on(*OTHERS[case])
