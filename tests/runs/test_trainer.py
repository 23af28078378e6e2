"""Every knob of Lightning's Trainer works, or is refused by one line before the first step."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from conftest import SMALL
from omegaconf import OmegaConf, open_dict
from processes import run

from sinefield.errors import UserError
from sinefield.runs.train import train
from sinefield.runs.trainer import CHOICES, COUNTS, FREE, OWN, TEXTS, WITHOUT_USE

RULES = [*COUNTS, *CHOICES, *WITHOUT_USE, *TEXTS, *FREE]
KNOBS = [name for name in inspect.signature(pl.Trainer.__init__).parameters if name != "self"]
# Values that a run comes to its end with.
WORK = {
    "accelerator": ["cpu", "auto"],
    "strategy": ["auto", "single_device"],
    "devices": [1, "1", "auto"],
    "precision": ["32-true", 32, "32", "64-true", "bf16-mixed", "bf16-true", "16-true", None],
    "callbacks": [[], None],
    "fast_dev_run": [False, 0],
    "max_epochs": [1, -1, None],
    "min_epochs": [0, 5],
    "min_steps": [1, 100],
    "max_time": ["00:01:00:00", {"hours": 1}],
    "limit_train_batches": [1.0, None],
    "limit_val_batches": [1.0, None],
    "limit_test_batches": [0, 1.0],
    "limit_predict_batches": [0, 1.0],
    "overfit_batches": [0, 0.0],
    "val_check_interval": [1.0, None],
    "num_sanity_val_steps": [0, None],
    "log_every_n_steps": [0, 1, None],
    "enable_checkpointing": [True, None],
    "enable_progress_bar": [True, False],
    "enable_model_summary": [True, False],
    "accumulate_grad_batches": [1, 3, None],
    "gradient_clip_val": [1, 0.5, None],
    "gradient_clip_algorithm": [None],
    "deterministic": [True, False, "warn"],
    "benchmark": [True, False],
    "inference_mode": [True, False],
    "use_distributed_sampler": [False],
    "profiler": ["simple", "advanced", "pytorch", None],
    "barebones": [False],
    "plugins": [[], None],
    "sync_batchnorm": [True, False],
    "reload_dataloaders_every_n_epochs": [0, 1, 2],
    "default_root_dir": ["elsewhere"],
    "enable_autolog_hparams": [True, False],
}
# Values that Lightning takes, and that would break the run or be without effect.
REFUSED = {
    "strategy": ["ddp_spawn", "ddp_fork", "ddp_notebook", "fsdp", "deepspeed"],
    "logger": [True, False],
    "callbacks": [3],
    "fast_dev_run": [True, 1, 2],
    "max_epochs": [0, -1.0],
    "max_steps": [0, -1, None],
    "max_time": ["00:00:00:00", {"seconds": 0}, 3],
    "limit_train_batches": [0, 1, 0.5, 0.0],
    "limit_val_batches": [0, 1, 0.5, 0.0],
    "overfit_batches": [1, 0.5],
    "val_check_interval": [1, 3, 0.5, "00:00:00:01"],
    "num_sanity_val_steps": [1, -1],
    "enable_checkpointing": [False],
    "use_distributed_sampler": [True],
    "barebones": [True],
    "model_registry": ["somewhere"],
    "num_nodes": [0],
}
WRONG = ["nonsense", -3, 2.5, [3], {"a": 1}, 10**30]
# What says how many steps are taken, where, and with which numbers: a run for each value. The rest is tried together.
ALONE = {"accelerator", "strategy", "devices", "precision", "max_time", "accumulate_grad_batches", "gradient_clip_val"}
ALONE |= {"max_epochs", "min_epochs", "min_steps"}
OTHERS = {"check_val_every_n_epoch", "detect_anomaly"}  # tests/runs/test_train.py


@pytest.fixture
def unchanged():
    """What Lightning sets in torch is set back."""
    torch.use_deterministic_algorithms(False)
    before = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = before


@pytest.fixture
def attempt(compose, tmp_path, monkeypatch):
    """A run of two steps with some knobs set; what it ends with."""
    plain = OmegaConf.create(OmegaConf.to_container(compose(*SMALL, "logger=none")))
    monkeypatch.chdir(tmp_path)

    def tried(**knobs: object) -> dict | UserError:
        config, folder = plain.copy(), tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        with open_dict(config):
            config.trainer.update(knobs)
        try:
            return train(config, folder)
        except UserError as error:
            assert not (folder / "history.csv").exists()
            return error

    return tried


def assert_finished(found: dict | UserError, tried: object) -> None:
    assert isinstance(found, dict), (tried, found)
    assert found["steps"] == 2
    assert found["psnr"] > 0


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.filterwarnings("ignore")  # Lightning's advice
@pytest.mark.usefixtures("unchanged")
def test_knobs_that_leave_the_steps_alone_work(turn, attempt, tmp_path) -> None:
    """The first value of each, the second, …; of one that has fewer, its first again."""
    knobs = {name: values[turn % len(values)] for name, values in WORK.items() if name not in ALONE}
    assert_finished(attempt(**knobs), knobs)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


@pytest.mark.parametrize("name", KNOBS)
@pytest.mark.filterwarnings("ignore")  # Lightning's advice
@pytest.mark.usefixtures("unchanged")
def test_a_knob_works_or_is_refused_by_one_line(name, attempt, tmp_path) -> None:
    assert name in RULES, (
        f"Lightning has a new knob, {name}: give it a rule in sinefield/runs/trainer.py, and try it here"
    )
    for value in WORK.get(name, []) if name in ALONE else []:
        assert_finished(attempt(**{name: value}), value)
    for value in REFUSED.get(name, []):
        assert isinstance(attempt(**{name: value}), UserError), value
    for value in WRONG if name not in OTHERS else []:
        found = attempt(**{name: value})  # any exception but a UserError would be a defect
        assert "\n" not in str(found), value
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}  # nothing is written elsewhere


def test_what_is_known_of_knobs_is_of_knobs_that_there_are() -> None:
    known = set(KNOBS)
    assert sorted(RULES) == sorted(known)  # each in one table
    assert known >= OWN
    assert known >= WORK.keys()
    assert known >= REFUSED.keys()


def test_a_profile_is_written_into_the_run_folder(fit) -> None:
    folder = fit(*SMALL, "+trainer.profiler=simple")["folder"]
    assert "training_step" in (folder / "fit-profiler.txt").read_text()


def test_time_that_is_up_ends_a_run_with_an_evaluation(fit) -> None:
    knobs = ["trainer.max_steps=1000000", "data.eval_every=1000000", "+trainer.max_time={seconds: 1}"]
    metrics = fit(*SMALL, *knobs, "scheduler=constant")
    assert 1 <= metrics["steps"] < 1_000_000
    assert metrics["psnr"] == metrics["best_psnr"]


def test_a_knob_that_does_not_exist_is_named(fit) -> None:
    with pytest.raises(UserError, match="unexpected keyword argument 'max_stepz'"):
        fit(*SMALL, "+trainer.max_stepz=3")


@pytest.mark.parametrize("knob", ["gradient_clip_val=1", "+gradient_clip_val=1", "+accumulate_grad_batches=2"])
def test_a_knob_is_set_with_and_without_a_plus(knob, fit) -> None:
    plus, name = ("+", knob[1:]) if knob.startswith("+") else ("", knob)
    assert fit(*SMALL, f"{plus}trainer.{name}")["steps"] == 2


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_processes_that_do_not_run_the_command_are_refused_at_the_command_line(strategy, tmp_path: Path) -> None:
    done = run(*SMALL, f"+trainer.strategy={strategy}", "trainer.devices=2", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: trainer.strategy={strategy} does not fit here; use auto, or ddp")
