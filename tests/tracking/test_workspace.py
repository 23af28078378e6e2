"""The workspace says what the dashboard says, and is made without a network or saved on a server."""

from __future__ import annotations

import json
import subprocess
import sys

from conftest import ROOT

SCRIPT = [sys.executable, ROOT / "scripts" / "wandb_workspace.py"]


def panels(spec: dict) -> list[str]:
    return [panel["viewType"] for part in spec["section"]["panelBankConfig"]["sections"] for panel in part["panels"]]


WANTED = {"Run History Line Plot", "Parallel Coordinates Plot", "Parameter Importance", "Media Browser", "Run Comparer"}


def test_it_is_made_without_a_network(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens
    out = tmp_path / "view.json"
    subprocess.run([*SCRIPT, "entity=somebody", f"out={out}"], check=True, capture_output=True)
    assert set(panels(json.loads(out.read_text()))) == WANTED


def test_it_asks_for_what_the_logger_logs(fit) -> None:
    """Every metric, configuration entry and picture named in a panel is there in a run."""
    from conftest import SMALL
    from omegaconf import OmegaConf

    from sinefield.tracking import workspace

    metrics = fit(*SMALL, "logger=none")
    config = OmegaConf.load(metrics["folder"] / "config.yaml")
    assert [knob for knob in workspace.KNOBS if OmegaConf.select(config, knob) is None] == []
    assert all(score in metrics for score in workspace.SCORES)
    assert all((metrics["folder"] / f"{name}.png").is_file() for name in workspace.PICTURES)


def test_its_panels_are_about_the_scores_that_it_is_given(tmp_path) -> None:
    from sinefield.tracking import workspace

    out = tmp_path / "view.json"
    subprocess.run([*SCRIPT, "entity=somebody", "scores=snr,mse", f"out={out}"], check=True, capture_output=True)
    assert "psnr" not in out.read_text()
    view = json.loads(out.read_text())
    assert set(panels(view)) == WANTED
    (order,) = workspace.workspace("somebody", "p", ("snr", "mse")).runset_settings.order
    assert (order.item.name, order.ascending) == ("snr", False)
    curves = [
        panel["config"]["metrics"]
        for part in view["section"]["panelBankConfig"]["sections"]
        for panel in part["panels"]
        if panel["viewType"] == "Run History Line Plot"
    ]
    assert curves == [["snr"], ["mse"], ["loss"], ["snr"]]


def test_it_is_saved_on_the_server(standin) -> None:
    done = subprocess.run([*SCRIPT, "entity=tester", "project=p"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"{standin.url}/tester/p?nw=")
    (saved,) = standin.named("UpsertView2")
    assert (saved["entityName"], saved["projectName"], saved["displayName"]) == ("tester", "p", "sinefield")
    assert set(panels(json.loads(saved["spec"]))) == WANTED


def test_mistakes_are_one_line(monkeypatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "")
    for arguments, said in (
        (["project=p"], "entity=NAME"),
        (["entity=a", "colour=b"], "there is no colour; choose from: entity, project, scores, out"),
    ):
        done = subprocess.run([*SCRIPT, *arguments], check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
