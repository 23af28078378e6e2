"""Many pictures fitted at once: each field is what it would have become alone, and opens alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL
from omegaconf import OmegaConf
from PIL import Image as Picture

import sinefield
from sinefield import render
from sinefield.errors import UserError
from sinefield.report import runs
from sinefield.runs.train import train

RUN = [*SMALL, "trainer.precision=64-true", "trainer.max_steps=5", "data.eval_every=3", "data.batch_size=60"]


@pytest.fixture
def folder(tmp_path):
    """Three colour pictures of 40 x 34 pixels, unlike each other in contrast."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 34, 40, 3))
    for name, values, contrast in zip("cab", pixels, (1, 4, 2), strict=True):
        home = tmp_path / "pictures"
        home.mkdir(exist_ok=True)
        Picture.fromarray((values // contrast).astype(np.uint8)).save(home / f"{name}.png")
    (home / "notes.txt").write_text("no picture")
    return home


def rows(folder: Path) -> list[list[float]]:
    """history.csv, without the seconds."""
    table = csv.DictReader((folder / "history.csv").read_text().splitlines())
    return [[float(value or 0) for key, value in row.items() if key != "seconds"] for row in table]


def test_each_field_is_what_a_run_of_its_own_makes_of_its_picture(folder, fit, compose, tmp_path) -> None:
    """Weights, history and scores to float64's rounding, which Adam enlarges where a gradient is nearly 0."""
    together = fit(*RUN, "loss=gradient", "signal=images", f"signal.paths={folder}")
    homes = sorted((together["folder"] / "fields").iterdir())
    assert [home.name for home in homes] == ["a", "b", "c"]
    figures = []
    for home in homes:
        config = OmegaConf.load(home / "config.yaml")  # what is in the folder fits the picture again, alone
        figures.append(train(config, tmp_path / home.name))
        one, other = (sinefield.load(which).state_dict() for which in (home, tmp_path / home.name))
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[key], other[key], rtol=1e-7, atol=1e-9) for key in one)
        assert np.allclose(rows(home), rows(tmp_path / home.name), rtol=1e-5)
        saved = json.loads((home / "metrics.json").read_text())
        assert saved.keys() == figures[-1].keys() | {"fields"}
        assert saved["psnr"] == pytest.approx(figures[-1]["psnr"])
        assert {path.name for path in home.glob("*.png")} == {
            path.name for path in (tmp_path / home.name).glob("*.png")
        }
    for name in ("psnr", "psnr_off_grid", "ssim", "loss", "best_psnr"):
        assert together[name] == pytest.approx(np.mean([its[name] for its in figures]))
    assert together["parameters"] == 3 * figures[0]["parameters"]


def test_a_field_is_rendered_alone_and_the_whole_run_says_where_they_are(folder, fit) -> None:
    run = fit(*SMALL, "signal=images", f"signal.paths={folder}", "logger=none")["folder"]
    picture = render.Picture(run / "fields" / "b")
    assert (picture.shape, picture.channels) == ((16, 16), 3)
    with pytest.raises(UserError, match=r"holds several fields; give the folder of one of those in .*fields"):
        sinefield.load(run)
    found = {its.folder.relative_to(run).as_posix(): its for its in runs.find([run])}
    assert found.keys() == {".", "fields/a", "fields/b", "fields/c"}
    assert all(its.status == "finished" and not its.problems for its in found.values())


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(folder, fit, compose, stopped_at, tmp_path) -> None:
    pictures = ["signal=images", f"signal.paths={folder}", "data.batch_size=50", "trainer.max_steps=6"]
    fit(*SMALL, *pictures, folder="whole")
    with stopped_at(3):
        train(compose(*SMALL, *pictures), tmp_path / "run")
    train(compose(*SMALL, *pictures), tmp_path / "run", resume=True)
    for home in ("", "fields/a", "fields/c"):
        assert rows(tmp_path / "run" / home) == rows(tmp_path / "whole" / home)
    one, other = (sinefield.load(tmp_path / run / "fields" / "c").state_dict() for run in ("run", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_what_ties_fields_together_is_refused(folder, fit, tmp_path) -> None:
    with pytest.raises(UserError, match="use optimizer=adam or adamw"):
        fit(*SMALL, "signal=images", f"signal.paths={folder}", "optimizer=lbfgs")
    assert not (tmp_path / "run").exists()


def test_the_field_that_diverges_is_named(folder, fit, monkeypatch) -> None:
    terms = {"value": torch.tensor([1.0, torch.inf, 1.0])}
    monkeypatch.setattr("sinefield.training.microbatches.Microbatches.gradient", lambda *arguments: terms)
    with pytest.raises(UserError, match="the loss of field 1 became inf at step 0; try a lower"):
        fit(*SMALL, "signal=images", f"signal.paths={folder}")


def test_an_unfinished_run_says_what_it_is_judged_by(fit) -> None:
    metrics = fit(*SMALL, "logger=none")
    (metrics["folder"] / "metrics.json").unlink()
    (run,) = runs.find([metrics["folder"]])
    assert (run.metrics["monitor"], run.metrics["shown"]) == (metrics["monitor"], metrics["shown"])
    assert (run.metrics["psnr"], run.metrics["steps"]) == (pytest.approx(metrics["psnr"]), 2)
    assert "scores" not in run.config["derived"]  # no knob
