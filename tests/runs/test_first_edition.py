"""A run folder that version 0.1 made: two steps of width 8, loss=gradient; the larger files are left out."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from omegaconf import OmegaConf
from PIL import Image
from processes import run as command

import sinefield
from sinefield.render.picture import render
from sinefield.report import dashboard
from sinefield.runs import trusted_config
from sinefield.runs.configuration import build


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(ROOT / "tests" / "data" / "first_edition", tmp_path / "run")


def test_its_field_has_the_values_of_its_picture(folder) -> None:
    field, signal = sinefield.load(folder), build(trusted_config.part(folder, "signal"))
    with torch.no_grad():
        values = field(signal.grid(torch.arange(16**2))).reshape(16, 16)
    with Image.open(folder / "reconstruction.png") as picture:
        drawn = np.asarray(picture.convert("L"))
    assert drawn.std() > 1
    np.testing.assert_allclose((values.clamp(-1, 1) + 1) * 127.5, drawn, atol=0.51)


def test_it_is_rendered(folder, tmp_path) -> None:
    render(folder, tmp_path / "out.npy", part="laplacian", scale=2)
    assert np.isfinite(np.load(tmp_path / "out.npy")).all()


def test_it_is_in_the_dashboard(folder) -> None:
    page = dashboard.build([folder], None).read_text()
    psnr = json.loads((folder / "metrics.json").read_text())["psnr"]
    assert f'"psnr":{psnr}' in page
    assert '"status":"finished","problems":[]' in page


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "knob", ["resume={}", "resume={} trainer.max_steps=9", "repeat={}", "repeat={} trust=sinefield"]
)
def test_no_step_is_taken_with_it(knob, finished, folder, tmp_path) -> None:
    """One line says which version made it, unless one says already that there is nothing to do."""
    if not finished:
        (folder / "metrics.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = command(*knob.format(folder).split(), cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    said = "is finished" if knob == "resume={}" and finished else "was made by sinefield 0.1"
    assert said in done.stderr
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_what_moved_is_there_and_no_more_is_permitted(folder) -> None:
    config = OmegaConf.load(folder / "config.yaml")
    for name in ("Clone", "Mixed", "Mean", "Sum"):
        config.signal._target_ = f"sinefield.signals.rules.{name}"
        OmegaConf.save(config, folder / "config.yaml")
        assert trusted_config.part(folder, "signal")._target_ == f"sinefield.signals.merging.rules.{name}"
    for name in ("sinefield.field.Sine.register_forward_hook", "sinefield.field.os.system", "sinefield.fieldx.A"):
        config.field._target_ = name
        OmegaConf.save(config, folder / "config.yaml")
        with pytest.raises(ValueError, match=r"no class that a run folder may ask for|there is no"):
            trusted_config.part(folder, "field")
    assert "sinefield.fieldx" not in sys.modules
