"""A run that logs to a server: what arrives there, and what happens when nobody is there."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
from conftest import SMALL
from processes import run
from script import sync
from wandb_server import serving


def train(folder: Path, *overrides: str) -> tuple[dict, str]:
    """train.py in a process of its own, as W&B's client has one server per process: its metrics, and what it said."""
    options = [*SMALL, "logger=wandb", "logger.offline=false", f"hydra.run.dir={folder}", *overrides]
    done = run(*options, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "metrics.json").read_text()), done.stderr


def merged(history: dict[str, list[dict]]) -> dict:
    """The last values in the history of the one run there is."""
    (rows,) = history.values()
    return {key: value for row in rows for key, value in row.items()}


def test_numbers_pictures_and_group_arrive(standin, tmp_path) -> None:
    metrics, said = train(tmp_path / "7", "name=comparison")
    asked = [variables for variables in standin.named("UpsertBucket") if variables.get("groupName")]
    assert {(v["project"], v["groupName"], v["displayName"]) for v in asked} == {("sinefield", "comparison", "7")}
    logged = merged(standin.history)
    assert logged["psnr"] == pytest.approx(metrics["psnr"])
    assert logged["trainer/global_step"] == 2
    assert any("pictures/reconstruction" in name for name in standin.files)
    assert "wandb_sync" not in said
    assert sync(tmp_path)[0] == ["already there"]


@pytest.mark.parametrize(
    "listens",
    [pytest.param(False, id="nobody listens"), pytest.param(True, id="nobody answers", marks=pytest.mark.slow)],
)
def test_without_a_server_the_run_goes_on_offline_and_says_so(at_server, tmp_path, listens) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen(8)
        at_server(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.perf_counter()
        metrics, said = train(tmp_path / "run", "logger.patience=1")
        assert time.perf_counter() - started < 40
    assert said.count("going on offline; later: python scripts/wandb_sync.py") == 1
    with serving() as later:
        at_server(later.url)
        assert sync(tmp_path)[0] == ["uploaded"]
        assert merged(later.history)["psnr"] == pytest.approx(metrics["psnr"])


@pytest.mark.slow
def test_a_server_that_goes_away_costs_its_patience_and_loses_nothing(at_server, tmp_path) -> None:
    with serving() as first:
        first.leaves_after = "UpsertBucket"
        at_server(first.url)
        started = time.perf_counter()
        metrics, said = train(tmp_path / "run", "logger.patience=3")
        assert time.perf_counter() - started < 60
        assert first.history == {}
    assert "did not take all of this run in time; later: python scripts/wandb_sync.py" in said
    with serving() as second:
        at_server(second.url)
        assert sync(tmp_path)[0] == ["uploaded"]
        assert merged(second.history)["psnr"] == pytest.approx(metrics["psnr"])
        assert any("pictures/reconstruction" in name for name in second.files)
        assert sync(tmp_path)[0] == ["already there"]


def test_without_a_login_it_is_one_line(at_server, tmp_path, monkeypatch) -> None:
    at_server("http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))  # where a login is kept
    done = run(*SMALL, "logger=wandb", "logger.offline=false", f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: logger=wandb: No API key configured. Use `wandb login`")
    assert done.stderr.endswith(", or take logger.offline=true\n")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "error.txt").exists()
