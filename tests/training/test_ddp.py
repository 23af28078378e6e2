"""One run in several processes: the result of one process with all points."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SMALL
from omegaconf import OmegaConf
from processes import run

STEPS = [*SMALL, "trainer.max_steps=8", "data.eval_every=4", "data.batch_size=51", "trainer.precision=64-true"]
SLOW = pytest.mark.slow


def in_two_processes(place: Path, *knobs: str) -> dict:
    """The metrics of a run, of which the first process alone has written and said something."""
    folder = place / "ddp"
    done = run(*knobs, "trainer=ddp", f"hydra.run.dir={folder}", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("PSNR on samples") == 1
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert (folder / "history.csv").read_text().count("\n") == 3
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["value", "gradient", "laplacian"])
def test_two_processes_find_what_one_finds(loss, fit, tmp_path) -> None:
    assert_alike(in_two_processes(tmp_path, *STEPS, f"loss={loss}"), fit(*STEPS, f"loss={loss}"))


# The first with squares, circles and constraints beside points.
@pytest.mark.parametrize(("loss", "algorithm"), [("laplacian", "norm"), pytest.param("gradient", "value", marks=SLOW)])
def test_two_processes_clip_and_accumulate_as_one_does(loss, algorithm, fit, tmp_path) -> None:
    knobs = [*STEPS, f"loss={loss}", "trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=0.001"]
    knobs += [f"trainer.gradient_clip_algorithm={algorithm}", "+optimizer.eps=0.001"]  # else Adam forgets the clipping
    assert_alike(in_two_processes(tmp_path, *knobs), fit(*knobs))


@pytest.mark.slow
def test_torchrun_starts_the_processes_too(fit, tmp_path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, str(ROOT / "train.py"), *STEPS, "trainer=ddp", f"hydra.run.dir={tmp_path / 'ddp'}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("PSNR on samples") == 1
    assert_alike(json.loads((tmp_path / "ddp" / "metrics.json").read_text()), fit(*STEPS))


@pytest.mark.slow
def test_a_repetition_is_of_as_many_processes(fit, compose, tmp_path) -> None:
    """Here of a run that might have been in two: its result is that of one."""
    folder = fit(*STEPS)["folder"]
    config = OmegaConf.load(folder / "config.yaml")
    config.trainer = compose(*STEPS, "trainer=ddp").trainer
    OmegaConf.save(config, folder / "config.yaml")
    done = run(f"repeat={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (new,) = (tmp_path / "outputs" / "fit").iterdir()
    assert "identical" in json.loads((new / "repeat.json").read_text())
    assert_alike(*(json.loads((run / "metrics.json").read_text()) for run in (new, folder)))
    assert done.stdout.count("PSNR on samples") == 1


def assert_alike(found: dict, wanted: dict) -> None:
    for key in ("loss", "psnr", "psnr_off_grid", "best_psnr"):
        assert found[key] == pytest.approx(wanted[key], rel=1e-7), key


def test_a_sweep_on_this_machine_refuses_further_processes(tmp_path) -> None:
    done = run("-m", *SMALL, "trainer=ddp", "seed=1,2", f"hydra.sweep.dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("error: a job of a sweep on this machine cannot start further processes") == 2
