"""A run from a config to a finished folder: every loss brings the picture back, and every mistake stops it in time."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import CONF, SMALL
from omegaconf import OmegaConf
from PIL import Image
from processes import run

import sinefield
from sinefield.errors import UserError
from sinefield.losses.constraints import Mean, Pixel
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.losses.weak import Circles, Squares
from sinefield.runs.configuration import build
from sinefield.training.data import SignalData

KEYS = {
    "psnr", "psnr_raw", "psnr_off_grid", "psnr_off_grid_spline", "ssim", "best_psnr", "loss", "steps", "wall_seconds",
    "fit_seconds",
    "steps_per_second", "parameters", "peak_memory_mb", "seed", "device", "versions", "git_commit",
}  # fmt: skip
PICTURES = {
    "ground_truth", "reconstruction", "error", "gradient_signal", "gradient_field", "laplacian_signal",
    "laplacian_field", "contact_sheet",
}  # fmt: skip
# A 32 x 32 part of a photograph, 0.5 to 2 seconds per 100 steps.
FITTED = [
    "signal.size=32",
    "field.width=64",
    "field.depth=2",
    "data.batch_size=512",
    "trainer.accelerator=cpu",
    "trainer.max_steps=300",
    "data.eval_every=100",
    "logger=none",
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small matrices, and tests beside this one
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """63 x 63 pixels around the cameraman's head: 32 x 32 samples and the pixels between them."""
    from skimage.data import camera

    path = tmp_path_factory.mktemp("photo") / "head.png"
    Image.fromarray(camera()[60:186:2, 180:306:2]).save(path)
    return path


@pytest.mark.parametrize(
    ("overrides", "decibels"),
    [
        (["loss=value"], 40),
        pytest.param(["loss=gradient"], 35, marks=pytest.mark.slow),
        pytest.param(["loss=laplacian", "trainer.max_steps=400"], 25, marks=pytest.mark.slow),
        (["loss=sobolev"], 35),
    ],
    ids=lambda x: x[0] if isinstance(x, list) else "",
)
def test_a_picture_comes_back_from_its_values_gradients_or_laplacian(overrides, decibels, photo, fit) -> None:
    metrics = fit(*FITTED, f"signal.path={photo}", *overrides)
    print(metrics)
    assert metrics["psnr"] >= decibels
    shown = np.asarray(Image.open(metrics["folder"] / "reconstruction.png"), dtype=float)[..., 0]
    truth = np.asarray(Image.open(photo), dtype=float)[::2, ::2]
    mean_square = np.mean((shown - truth) ** 2) + 1 / 12  # the file's rounding
    error = 10 * np.log10(255**2 / mean_square)  # the picture on disk says the same
    assert error >= min(decibels, 40) - 0.5


@pytest.mark.slow
def test_a_colour_picture_comes_back_from_its_gradients_channel_by_channel(tmp_path, fit) -> None:
    from skimage.data import astronaut

    path = tmp_path / "face.png"
    Image.fromarray(astronaut()[60:186:2, 170:296:2]).save(path)
    metrics = fit(*FITTED, f"signal.path={path}", "loss=gradient")
    assert metrics["psnr"] >= 30


def read_rows(folder: Path) -> list[dict]:
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


def test_a_run_folder_holds_what_the_design_says(photo, fit) -> None:
    metrics = fit(*SMALL, f"signal.path={photo}", "logger=csv", "encoding=none")
    folder = metrics.pop("folder")
    saved = json.loads((folder / "metrics.json").read_text())
    assert saved == json.loads(json.dumps(metrics))
    assert saved.keys() >= KEYS
    assert saved["parameters"] == (2 + 1) * 16 + (16 + 1) * 16 + (16 + 1)
    assert torch.__version__.startswith(saved["versions"]["torch"])
    assert 50 < saved["peak_memory_mb"] < 20_000
    rows = read_rows(folder)
    assert [int(row["step"]) for row in rows] == [2]
    assert float(rows[-1]["psnr"]) == saved["psnr"]
    assert rows[0].keys() >= {"seconds", "loss", "loss/value", "psnr_off_grid", "ssim"}
    assert {path.stem for path in folder.glob("*.png")} == PICTURES
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    config = OmegaConf.load(folder / "config.yaml")
    files = {str(photo): hashlib.sha256(str(photo.stat().st_size).encode() + photo.read_bytes()).hexdigest()}
    scores = {name: saved[name] for name in ("monitor", "shown")}
    assert 0.75 <= config.derived.pop("effort") <= 2
    known = {"dims": 2, "channels": 1, "samples": 16, "last": 16, "pictures": 1, "files": files, "scores": scores}
    assert config.derived == known
    assert config.field.in_features == 2


def test_steps_that_are_no_multiple_of_the_evaluations_are_all_taken_and_scored(fit) -> None:
    metrics = fit(*SMALL, "trainer.max_steps=7", "data.eval_every=3")
    rows = read_rows(metrics["folder"])
    assert [int(row["step"]) for row in rows] == [3, 6, 7]
    assert metrics["steps"] == 7


def test_chunks_change_nothing_but_the_speed(fit) -> None:
    losses = [
        fit(*SMALL, "loss=gradient", "trainer.precision=64-true", f"chunk={chunk}", folder=str(chunk))["loss"]
        for chunk in (100_000, 100)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-7)  # Adam enlarges the rounding of gradients near 0


def test_the_same_seed_gives_the_same_result_and_another_another(fit) -> None:
    first, again, other = (
        fit(*SMALL, f"seed={seed}", folder=name)["loss"] for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert first == again != other


def test_a_finished_field_is_loaded_as_a_plain_module(photo, fit) -> None:
    metrics = fit(*FITTED, f"signal.path={photo}", "trainer.max_steps=100")
    field = sinefield.load(metrics["folder"])
    axis = torch.linspace(-1, 1, 32)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    found = field(torch.stack([x, y], dim=-1))  # (32, 32, 1)
    truth = torch.from_numpy(np.asarray(Image.open(photo), dtype=np.float32)[::2, ::2, None].copy()) / 127.5 - 1
    psnr = 10 * torch.log10(4 / (found - truth).square().mean()).item()
    assert psnr == pytest.approx(metrics["psnr"], abs=1e-3)
    assert field.jet(torch.zeros(3, 2), order=2).laplacian.shape == (3, 1)


def test_loading_what_is_not_finished_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="no finished run"):
        sinefield.load(tmp_path)


def test_a_merge_shows_what_it_was_made_of(fit) -> None:
    folder = fit(*SMALL, "signal=merge")["folder"]
    assert {path.stem for path in folder.glob("*.png")} == PICTURES | {"input_a", "input_b", "merge"}
    assert np.asarray(Image.open(folder / "input_b.png")).shape == (16, 16, 3)


def test_a_damaged_checkpoint_is_named(fit) -> None:
    folder = fit(*SMALL)["folder"]
    whole = (folder / "checkpoints" / "last.ckpt").read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        (folder / "checkpoints" / "last.ckpt").write_bytes(content)
        with pytest.raises(UserError, match=r"last\.ckpt is not a whole checkpoint"):
            sinefield.load(folder)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    for name, part in sinefield.load(folder, "best").state_dict().items():
        assert torch.equal(part, best[f"field.{name}"])


def test_no_held_out_pixels_no_off_grid_number(photo, fit) -> None:
    metrics = fit(*SMALL, f"signal.path={photo}", "signal.holdout=false")
    assert metrics["psnr_off_grid"] is None


ENDS_EARLY = ["scheduler=cosine", "~scheduler.T_max", "scheduler._target_=torch.optim.lr_scheduler.OneCycleLR"]
ENDS_EARLY += ["+scheduler.max_lr=0.1", "+scheduler.total_steps=3", "trainer.max_steps=4"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["signal.path=nosuch.png"], "does not exist"),
        (["signal.size=0"], "signal.size must be a whole number"),
        (["field.depth=-2"], "field.depth must be a whole number of at least -1, not -2"),
        (["field.width=wide"], "field.width must be a whole number"),
        (["activation.omega0=0"], "activation.omega0 must be a finite number above 0"),
        (["optimizer.lr=nan"], "optimizer.lr must be a finite number"),
        (["optimizer.lr=-1"], "Invalid learning rate"),
        (["optimizer.betas=[2,0.9]"], "Invalid beta"),
        (
            ["optimizer=lbfgs", "optimizer.history_size=null"],
            r"cannot be torch.optim.LBFGS\(.*history_size=None.*TypeError",
        ),
        (["optimizer=lbfgs", "optimizer.line_search_fn=armijo"], r"optimizer cannot be .*only 'strong_wolfe'"),
        (["scheduler=cosine", "scheduler.T_max=0"], r"scheduler cannot be .*\(T_max=0\): ZeroDivisionError"),
        (ENDS_EARLY, r"scheduler cannot be .*OneCycleLR\(.*total_steps=3\): it ends after 3 of"),
        (["loss.terms.value.weight=inf"], "loss.terms.value.weight must be a finite number"),
        (["data.batch_size=0"], "data.batch_size must be a whole number"),
        (["trainer.max_steps=0"], "trainer.max_steps must be a whole number"),
        (["chunk=0"], "chunk must be a whole number"),
        (["activation=relu", "encoding=none", "loss=laplacian"], "use activation=sine"),
        (["~loss.terms.value", "~loss.terms.between"], "loss.terms: every term is switched off; keep at least one"),
        (["loss.terms.value=null", "loss.terms.between=null"], "keep at least one"),
        (["+field.foo=1"], "unexpected keyword argument 'foo'"),
        (["signal.degree=4"], "must be odd"),
        (
            ["loss=laplacian", "loss.terms.weak=circles"],
            r"loss\.terms\.weak must be a term, not 'circles'; choose one, loss/term@loss\.terms\.NAME=…, from",
        ),
        (
            ["signal=analytic", "signal.channels=2"],
            r"2 dimensions and 2 channels; evaluation=picture takes 2 dimensions and 1 \(grey\) or 3",
        ),
    ],
    ids=lambda x: x[-1] if isinstance(x, list) else "",
)
def test_a_mistake_is_one_line_before_anything_is_written(overrides, message, fit, tmp_path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fit(*SMALL, *overrides)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "kinds"),
    [
        (
            ["loss=gradient", "loss/term@loss.terms.mean=pixel", "loss/term@loss.terms.weak=circles"],
            [Gradient, Circles, Pixel],
        ),
        (["loss=h1", "+loss/term@loss.terms.mean=mean"], [Mean, Value, Gradient]),
        (
            ["signal=merge", "signal/rule=mixed", "loss=laplacian", "loss/term@loss.terms.border=mean"],
            [Laplacian, Squares, Mean],
        ),
    ],
    ids=lambda x: x[-1] if isinstance(x[0], str) else "",
)
def test_what_the_messages_advise_can_be_said(overrides, kinds, compose) -> None:
    found = {type(term) for term in build(compose(*overrides).loss).terms.values()}
    assert found == set(kinds)


@pytest.mark.parametrize("epochs", ["-1.0", "0", "1.5"])
def test_epochs_that_lightning_trips_over_are_refused(epochs, fit) -> None:
    with pytest.raises(UserError, match=r"^trainer\.max_epochs must be a whole number of at least 1, not"):
        fit(*SMALL, f"trainer.max_epochs={epochs}")


LATER = ["trainer.max_steps=12", "data.eval_every=5", "logger=none"]


@pytest.mark.parametrize(
    "knob",
    [
        "check_val_every_n_epoch=2", "check_val_every_n_epoch=0",
        "val_check_interval=4", "val_check_interval=1", "val_check_interval=0.5", "val_check_interval='00:00:00:01'",
        "fast_dev_run=true", "fast_dev_run=3",
    ],
)  # fmt: skip
def test_knobs_that_move_evaluations_are_refused(knob, fit, tmp_path) -> None:
    name = knob.partition("=")[0]
    with pytest.raises(UserError, match=rf"^trainer\.{name} has no use here; leave it out: "):
        fit(*SMALL, *LATER, f"+trainer.{knob}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "knob",
    ["+trainer.check_val_every_n_epoch=1", "+trainer.val_check_interval=1.0", "+trainer.fast_dev_run=false",
     "trainer.max_epochs=1", "+trainer.min_steps=3", "+trainer.min_epochs=5",
     "+trainer.max_time={seconds:30}", "+trainer.reload_dataloaders_every_n_epochs=1"],
)  # fmt: skip
def test_scores_and_checkpoint_are_of_the_last_step(knob, fit) -> None:
    """Whatever else Lightning knows that ends a run or an epoch early."""
    metrics = fit(*SMALL, *LATER, knob)
    last = torch.load(metrics["folder"] / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert metrics["steps"] == last == int(read_rows(metrics["folder"])[-1]["step"])


class Ends(pl.Callback):
    """Ends the run in the middle of an epoch."""

    def on_train_batch_end(self, trainer, *more) -> None:
        trainer.should_stop = trainer.global_step == 7


def test_a_run_that_ends_early_is_evaluated_where_it_ends(fit) -> None:
    metrics = fit(*SMALL, *LATER, "callback={_target_: test_train.Ends}")
    assert [int(row["step"]) for row in read_rows(metrics["folder"])] == [5, 7]
    assert metrics["steps"] == 7


def test_a_run_that_was_not_is_refused(fit, tmp_path) -> None:
    with pytest.raises(UserError, match=r"ended after 0 steps, .*; allow more trainer\.max_time"):
        fit(*SMALL, *LATER, "+trainer.max_time={seconds:0}")
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_relu_behind_a_curved_encoding_may_serve_a_laplacian_loss(fit) -> None:
    fit(*SMALL, "activation=relu", "encoding=positional", "loss=laplacian")


def test_a_loss_that_turns_nan_stops_at_once_and_keeps_the_last_good_checkpoint(fit, tmp_path) -> None:
    with pytest.raises(UserError, match=r"at step \d+; try a lower"):
        fit(*SMALL, "optimizer.lr=1e30", "trainer.max_steps=50", "data.eval_every=1")
    folder = tmp_path / "run"
    assert not (folder / "metrics.json").exists()
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_a_finished_run_is_not_overwritten(fit) -> None:
    fit(*SMALL)
    with pytest.raises(UserError, match="holds a finished run"):
        fit(*SMALL)


def test_the_command_line_ends_in_one_line_and_a_status(tmp_path) -> None:
    def train(*overrides: str) -> subprocess.CompletedProcess:
        return run(*overrides, f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)

    losses = ", ".join(sorted(path.stem for path in (CONF / "loss").glob("*.yaml")))
    typo = train("loss=laplace")
    assert typo.returncode == 1
    assert typo.stderr == f"error: there is no loss/laplace; choose from: {losses}\n"
    typo = train("field.dpeth=1")
    assert typo.stderr.startswith("error: there is no field.dpeth; choose from: ")
    assert "depth" in typo.stderr
    missing = train("signal.path=nosuch.png")
    assert missing.returncode == 1
    assert missing.stderr == "error: 'nosuch.png' does not exist; check the path\n"
    assert not (tmp_path / "run" / "metrics.json").exists()
    good = train(*SMALL)
    assert good.returncode == 0, good.stderr
    assert "PSNR on samples" in good.stdout
    assert str(tmp_path / "run") in good.stdout


def test_the_commit_and_the_threads_are_those_that_the_fit_began_with(fit, monkeypatch) -> None:
    commit, make = ["before"], SignalData.batch

    def batch(*arguments):
        commit[0] = "later"
        return make(*arguments)

    monkeypatch.setattr("sinefield.training.environment._git_commit", lambda: commit[0])
    monkeypatch.setattr(SignalData, "batch", batch)
    torch.set_num_threads(2)
    try:
        metrics = fit(*SMALL)
    finally:
        torch.set_num_threads(1)
    assert commit == ["later"]
    assert metrics["git_commit"] == "before"
    assert metrics["device"].endswith(", 2 threads)")
