"""W&B gets the same numbers under the same names, offline, and a run ends as what it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import SMALL
from processes import TRAIN, run

from sinefield.errors import UserError
from sinefield.runs.loggers import Wandb


def records(folder: Path) -> list[dict]:
    """What W&B wrote of one run, by W&B's own reader of its files."""
    (file,) = (folder / "wandb").rglob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def merged(folder: Path, kind: str) -> dict:
    """The run's summary or config, after all its updates."""
    values: dict = {}
    for record in records(folder):
        if record["type"] == kind:
            values |= record[kind].get("update", {})
    return values


def exit_code(folder: Path) -> int:
    (ended,) = [record["exit"] for record in records(folder) if record["type"] == "exit"]
    return ended.get("exit_code", 0)


@pytest.fixture
def server(monkeypatch):
    """Stands where W&B's server would be and counts who calls."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(self.path)
            self.send_error(500)

        do_GET = do_PUT = do_POST

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{httpd.server_port}")
        monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
        monkeypatch.delenv("WANDB_MODE", raising=False)
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
        yield calls
        httpd.shutdown()
        thread.join()


def test_offline_runs_hold_numbers_pictures_and_config_and_call_nobody(fit, server, tmp_path) -> None:
    before = dict(os.environ)
    runs = [
        fit(*SMALL, "logger=wandb", f"seed={seed}", folder=f"run{seed}") for seed in (1, 2)
    ]  # one process, two runs
    for metrics in runs:
        folder = metrics["folder"]
        values = merged(folder, "summary")
        assert values["psnr"] == pytest.approx(metrics["psnr"])
        assert values["loss"] == pytest.approx(metrics["loss"])
        assert values["trainer/global_step"] == 2
        config = merged(folder, "config")
        assert config["seed"] == metrics["seed"]
        assert config["field"]["width"] == 16
        assert exit_code(folder) == 0
        pictures = {path.name.rsplit("_", 2)[0] for path in folder.rglob("media/images/pictures/*.png")}
        assert pictures >= {"contact_sheet", "ground_truth", "reconstruction"}
    assert server == []
    left = {name: value for name, value in os.environ.items() if name.startswith("WANDB_") and name != "WANDB_SERVICE"}
    assert left.items() <= before.items()  # so that the second run kept its caches in its own folder
    assert not (Path.cwd() / "wandb").exists()


def test_a_run_that_fails_ends_as_failed_and_the_next_is_its_own(fit, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(UserError, match="try a lower"):
        fit(*SMALL, "logger=wandb", "optimizer.lr=1e30", "trainer.max_steps=50", folder="bad")
    good = fit(*SMALL, "logger=wandb", folder="good")
    assert exit_code(tmp_path / "bad") == 1
    assert exit_code(tmp_path / "good") == 0
    assert merged(tmp_path / "good", "summary")["psnr"] == pytest.approx(good["psnr"])


@pytest.mark.parametrize(
    ("environment", "offline", "mode"),
    [
        (None, None, "offline"),
        ("online", None, "online"),
        ("run", None, "online"),
        ("offline", None, "offline"),
        ("dryrun", None, "offline"),
        ("disabled", None, "disabled"),
        ("online", True, "offline"),
        ("disabled", True, "offline"),
        ("disabled", False, "online"),
        ("offline", False, "online"),
    ],
)
def test_the_environment_says_the_mode_unless_the_knob_does(environment, offline, mode, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if environment is not None:
        monkeypatch.setenv("WANDB_MODE", environment)
    logger = Wandb(str(tmp_path), offline=offline)
    assert logger._wandb_init["settings"].mode == mode
    logger.close(0)
    assert os.environ.get("WANDB_MODE") == environment


def test_a_disabled_run_leaves_nothing_and_the_next_is_its_own(fit, server, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = fit(*SMALL, "logger=wandb", folder="disabled")["folder"]
    assert list((folder / "wandb").iterdir()) == []
    monkeypatch.setenv("WANDB_MODE", "offline")
    metrics = fit(*SMALL, "logger=wandb", folder="offline")
    assert merged(metrics["folder"], "summary")["psnr"] == pytest.approx(metrics["psnr"])
    assert server == []


def test_a_mode_that_there_is_not_is_one_line(fit, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="WANDB_MODE is 'sometimes'; make it online, offline or disabled"):
        fit(*SMALL, "logger=wandb")


def test_wandb_is_imported_only_where_it_is_used(tmp_path) -> None:
    (tmp_path / "unused.py").write_text(
        f"import runpy, sys\nrunpy.run_path({str(TRAIN)!r}, run_name='__main__')\nsys.exit('wandb' in sys.modules)\n"
    )
    for logger in ("none", "csv"):
        done = run(*SMALL, f"logger={logger}", f"hydra.run.dir={logger}", script=tmp_path / "unused.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / logger / "metrics.json").is_file()
