"""Offline runs are uploaded once, with all they hold."""

from __future__ import annotations

import json

import pytest
import script
from conftest import SMALL

from sinefield.errors import UserError
from sinefield.tracking.sync import sync


@pytest.fixture
def offline(fit) -> list[dict]:
    """Two offline runs of one sweep."""
    return [fit(*SMALL, "logger=wandb", f"seed={seed}", folder=f"sweep/{seed}") for seed in (1, 2)]


def test_offline_runs_are_uploaded_once(offline, standin, tmp_path) -> None:
    assert standin.operations == []
    assert script.sync(tmp_path) == (["uploaded"] * 2, "")
    assert len(standin.history) == 2
    found = sorted(row["psnr"] for rows in standin.history.values() for row in rows if "psnr_off_grid_spline" in row)
    assert found == pytest.approx(sorted(metrics["psnr"] for metrics in offline))
    asked = len(standin.operations)
    assert script.sync(tmp_path) == (["already there"] * 2, "")
    assert len(standin.operations) == asked


def test_a_running_run_is_left_alone(offline, standin, tmp_path) -> None:
    folder = offline[0]["folder"]
    (folder / "metrics.json").unlink()
    told = {"state": "running", "error": None, "host": "elsewhere", "pid": 1, "since": ""}
    (folder / "status.json").write_text(json.dumps(told))
    assert script.sync(tmp_path)[0] == ["still running", "uploaded"]


def test_a_server_that_refuses_and_one_that_is_not_there(offline, standin, at_server, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(standin, "answer", lambda *asked: {"upsertBucket": None})
    assert script.sync(offline[0]["folder"])[0] == ["failed"]
    at_server("http://127.0.0.1:9")  # a port that nobody may listen on
    states, said = script.sync(tmp_path)
    assert states == []
    assert said.startswith("error: W&B at http://127.0.0.1:9 does not answer")
    assert len(said.splitlines()) == 1


def test_mistakes_are_named(tmp_path) -> None:
    with pytest.raises(UserError, match="train with logger=wandb"):
        list(sync([tmp_path]))
    with pytest.raises(UserError, match="is no folder"):
        list(sync([tmp_path / "nosuch"]))
