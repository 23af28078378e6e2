"""The weights of a finished run, as the start of another: `field.init`."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from conftest import CONF, SMALL
from PIL import Image
from skimage.data import camera, coins

import sinefield
from sinefield.errors import UserError
from sinefield.runs import trusted_config
from sinefield.runs.resume_or_repeat import repeat
from sinefield.runs.train import train

STILL = ["optimizer.lr=1e-12", "scheduler=constant", "logger=none"]


@pytest.fixture(scope="module")
def donor(tmp_path_factory) -> Path:
    """A finished run of some steps."""
    from hydra import compose, initialize_config_dir

    folder = tmp_path_factory.mktemp("donor") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", [*SMALL, "trainer.max_steps=40", "data.eval_every=40", "logger=none"]), folder)
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


@pytest.mark.parametrize("loss", ["value", "gradient", "laplacian"])
def test_a_run_starts_with_the_score_of_another(loss, donor, fit) -> None:
    psnr = json.loads((donor / "metrics.json").read_text())["psnr_raw"]
    cold = fit(*SMALL, *STILL, f"loss={loss}", folder="cold")["folder"]
    warm = fit(*SMALL, *STILL, f"loss={loss}", f"field.init={donor}")["folder"]
    assert float(rows(warm)[0]["psnr_raw"]) == pytest.approx(psnr, abs=1e-3)
    assert float(rows(cold)[0]["psnr_raw"]) < psnr - 1
    for name, weight in sinefield.load(warm).state_dict().items():  # such a run is loaded as any other
        torch.testing.assert_close(weight, sinefield.load(donor).state_dict()[name])


def test_all_fields_of_a_stack_start_alike(donor, fit, tmp_path) -> None:
    for name, picture in (("a", camera()), ("b", coins())):
        Image.fromarray(picture[:64, :64]).save(tmp_path / f"{name}.png")
    paths = f"signal.paths=[{tmp_path / 'a.png'},{tmp_path / 'b.png'}]"
    done = fit(*SMALL, *STILL, "signal=images", paths, f"field.init={donor}")
    for name in ("a", "b"):
        (one,) = (done["folder"] / "fields").glob(f"*{name}*")
        for part, weight in sinefield.load(one).state_dict().items():
            torch.testing.assert_close(weight, sinefield.load(donor).state_dict()[part])
    with pytest.raises(UserError, match="holds several fields"):
        fit(*SMALL, f"field.init={done['folder']}", folder="of several")


def test_it_is_repeated_and_made_longer(donor, fit, tmp_path, monkeypatch, compose) -> None:
    """A repetition starts with the same weights; a run that goes on has its own, so the other folder may be gone."""
    other = shutil.copytree(donor, tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    knobs = [*SMALL, "field.init=other", "scheduler=constant", "logger=none"]
    run = fit(*knobs)["folder"]
    (run / ".hydra").mkdir()
    (run / ".hydra" / "hydra.yaml").write_text(f"hydra: {{runtime: {{cwd: {tmp_path}}}}}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # the path is found from where the run was started
    repeat(run, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "repeat.json").read_text())["identical"] is True
    monkeypatch.chdir(tmp_path)
    config = trusted_config.read(run)
    assert config.field.init == "other"
    os.rename(other, tmp_path / "gone")
    config.trainer.max_steps = config.data.max_steps = 4
    train(config, run, resume=True)
    assert [row["step"] for row in rows(run)] == ["2", "4"]
    with pytest.raises(UserError, match="other holds no finished run"):
        fit(*knobs, folder="anew")


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (["field.width=8"], r"layers.0.weight is \(16, 384\) there and \(8, 384\) here"),
        (["field.depth=2"], r"layers.2.weight is missing there and \(16, 16\) here"),
        (["field.depth=0"], r"layers.1.weight is \(16, 16\) there and missing here"),
        (["encoding=positional"], r"encoding.matrix is \(192, 2\) there and \(4, 2\) here"),
        (["signal.path=skimage:astronaut"], r"head.weight is \(1, 16\) there and \(3, 16\) here"),
        (["field.init=[a]"], "field.init must be the folder of a finished run"),
        (["field.init=3"], "field.init must be the folder of a finished run"),
        (["field.init=nowhere"], "nowhere holds no finished run"),
    ],
    ids=lambda text: str(text)[:30],
)
def test_what_does_not_fit_is_one_line(knobs, said, donor, fit, tmp_path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        fit(*SMALL, f"field.init={donor}", *knobs)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "config.yaml").exists()  # before anything is written
