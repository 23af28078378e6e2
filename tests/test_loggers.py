"""W&B gets the same numbers under the same names, offline, and a run ends as what it was."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import SMALL

from sinefield.errors import UserError


def records(folder: Path) -> list[dict]:
    """What W&B wrote of one run, by W&B's own reader of its files."""
    from google.protobuf.json_format import MessageToDict
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    (file,) = (folder / "wandb").rglob("*.wandb")
    store, found = DataStore(), []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(data)
        found.append(MessageToDict(record))
    return found


def logged(folder: Path) -> dict:
    """Every key that was logged, with its last value."""
    values = {}
    for record in records(folder):
        for item in record.get("history", {}).get("item", []):
            values[".".join(item.get("nestedKey", [item.get("key", "")]))] = json.loads(item["valueJson"])
    return values


def exit_code(folder: Path) -> int:
    (ended,) = [record["exit"] for record in records(folder) if "exit" in record]
    return ended.get("exitCode", 0)


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
    runs = [fit(*SMALL, "logger=wandb", f"seed={seed}", folder=f"run{seed}") for seed in (1, 2)]  # one process, two runs
    for metrics in runs:
        folder = metrics["folder"]
        values = logged(folder)
        assert values["psnr"] == pytest.approx(metrics["psnr"])
        assert values["loss"] == pytest.approx(metrics["loss"])
        assert values["trainer/global_step"] == 2
        assert values["pictures/contact_sheet"]["_type"] == "images/separated"
        config = {
            ".".join(item.get("nestedKey", [item.get("key", "")])): item["valueJson"]
            for record in records(folder)
            for item in record.get("config", {}).get("update", [])
        }
        assert json.loads(config["seed"]) == metrics["seed"]
        assert json.loads(config["field"])["width"] == 16
        assert exit_code(folder) == 0
        assert {path.name for path in folder.rglob("media/images/pictures/*.png")}
    assert server == []
    assert not (Path.cwd() / "wandb").exists()


def test_a_run_that_fails_ends_as_failed_and_the_next_is_its_own(fit, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(UserError, match="try a lower"):
        fit(*SMALL, "logger=wandb", "optimizer.lr=1e30", "trainer.max_steps=50", folder="bad")
    good = fit(*SMALL, "logger=wandb", folder="good")
    assert exit_code(tmp_path / "bad") == 1
    assert exit_code(tmp_path / "good") == 0
    assert logged(tmp_path / "good")["psnr"] == pytest.approx(good["psnr"])


def test_wandb_is_imported_only_where_it_is_used(tmp_path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import CONF, SMALL
from hydra import compose, initialize_config_dir
from pathlib import Path
from sinefield.run import train
for logger in ("none", "csv"):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", [*SMALL, f"logger={{logger}}"]), Path({str(tmp_path)!r}) / logger)
assert "wandb" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
