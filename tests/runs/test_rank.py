"""A process follows another only where its run has several, whatever the job around it has set."""

from __future__ import annotations

import os
import sys

import pytest
from conftest import SMALL
from processes import run
from pytorch_lightning.utilities import rank_zero_only

from sinefield.runs.trainer import set_rank
from sinefield.training.environment import is_rank_zero

SLURM = {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "x", "SLURM_JOB_ID": "77"}
TORCHRUN = {
    "RANK": "1", "LOCAL_RANK": "1", "GROUP_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500",
}  # fmt: skip
JOBS = {
    "RANK": {"RANK": "1"},
    "LOCAL_RANK": {"LOCAL_RANK": "1"},
    "NODE_RANK": {"NODE_RANK": "1"},
    "SLURM_PROCID": {"SLURM_PROCID": "1"},
    "SLURM_LOCALID": {"SLURM_LOCALID": "1"},
    "JSM_NAMESPACE_RANK": {"JSM_NAMESPACE_RANK": "1"},
    "OMPI_COMM_WORLD_RANK": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
    "srun --ntasks-per-node=2": SLURM | {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"},
    "srun --ntasks=2": SLURM | {"SLURM_NTASKS": "2"},
    "torchrun": TORCHRUN,
}
ALONE = [["trainer.devices=auto"], ["trainer.devices='1'"], ["+trainer.strategy=auto"]]


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """As Lightning's import has it, and afterwards as it was."""
    for name in {name for job in JOBS.values() for name in job} & os.environ.keys():
        monkeypatch.delenv(name)
    monkeypatch.setattr(rank_zero_only, "rank", 1)


@pytest.mark.parametrize("job", ["RANK", "srun --ntasks-per-node=2", "torchrun"])
def test_a_run_of_one_process_is_its_own_first(job, fit, monkeypatch, tmp_path) -> None:
    for name, value in JOBS[job].items():
        monkeypatch.setenv(name, value)
    fit(*SMALL)
    assert is_rank_zero()
    assert {"config.yaml", "history.csv", "metrics.json", "status.json", ".lock"} <= set(os.listdir(tmp_path / "run"))


@pytest.mark.parametrize(
    ("job", "overrides"), [(job, []) for job in JOBS] + [("torchrun", its) for its in ALONE], ids=str
)
def test_whatever_the_job_and_however_the_one_device_is_asked_for(job, overrides, compose, monkeypatch) -> None:
    for name, value in JOBS[job].items():
        monkeypatch.setenv(name, value)
    assert not set_rank(compose("trainer.accelerator=cpu", *overrides))
    assert is_rank_zero()


@pytest.mark.parametrize("job", ["LOCAL_RANK", "srun --ntasks-per-node=2", "torchrun"])
def test_a_process_of_a_run_of_several_has_its_rank(job, compose, monkeypatch) -> None:
    for name, value in JOBS[job].items():
        monkeypatch.setenv(name, value)
    assert set_rank(compose("trainer=ddp", "trainer.accelerator=cpu"))
    assert rank_zero_only.rank == 1


def test_the_process_that_starts_the_others_is_the_first(compose, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not set_rank(compose("trainer=ddp", "trainer.accelerator=cpu"))
    assert is_rank_zero()


@pytest.mark.parametrize("overrides", [["trainer.devices=many"], ["trainer.accelerator=abacus"], ["~trainer"]])
def test_a_mistake_is_left_to_the_run_s_own_trainer(overrides, compose) -> None:
    assert not set_rank(compose(*overrides))
    assert is_rank_zero()


@pytest.mark.slow
def test_four_tasks_of_one_command_say_what_they_do(tmp_path) -> None:
    # By a Python of its own: Lightning looks at its import.
    environment = os.environ | {"RANK": "1", "LOCAL_RANK": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = run(
        *SMALL, "hydra.run.dir=run", cwd=tmp_path, env=environment, forked=False
    )  # Lightning looks at its import
    assert "PSNR on samples" in done.stdout
    assert (tmp_path / "run" / "config.yaml").is_file()
