"""Runs of every signal resume bit for bit: whatever a signal, its terms, its optimizer and its evaluation keep."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from conftest import CONF
from discover import concrete, overrides
from processes import assert_same, known

from sinefield.evaluation.base import Evaluation
from sinefield.runs.train import train
from sinefield.system.shutdown import Interrupted
from sinefield.training.data import SignalData

SIGNALS = [Path("signal", file.stem) for file in sorted((CONF / "signal").glob("*.yaml"))]


@pytest.mark.parametrize("choice", SIGNALS, ids=lambda choice: choice.name)
def test_an_interrupted_run_of_a_signal_goes_on_as_if_nothing_had_happened(
    choice, fit, compose, monkeypatch, tmp_path
) -> None:
    """Four steps, stopped by SIGTERM in the third, behind an evaluation."""
    for kind in concrete(Evaluation):
        monkeypatch.setattr(kind, "draw", lambda *_: {"none": None})  # of weights, which are compared
    run = [*overrides(choice, tmp_path), "trainer.max_steps=4"]
    fit(*run, folder="whole")
    make = SignalData.batch

    def batch(self, number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return make(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(SignalData, "batch", batch)
        with pytest.raises(Interrupted):
            train(compose(*run), tmp_path / "run")
    train(compose(*run), tmp_path / "run", resume=True)
    assert_same(known(tmp_path / "whole"), known(tmp_path / "run"))
