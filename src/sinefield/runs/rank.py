"""Which of the processes of its run this one is."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import suppress

import sinefield.training  # noqa: F401  before Lightning, whose import it makes quick

# isort: split
import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from sinefield.errors import UserError
from sinefield.runs.configuration import as_user_error, build

# Knobs of the trainer that the module and the run look after themselves, and that Lightning refuses or must not see.
OWN = {"gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches"}
OWN |= {"logger", "callbacks", "enable_checkpointing", "num_sanity_val_steps", "use_distributed_sampler", "plugins"}


def lightnings(config: DictConfig) -> DictConfig:
    """`config.trainer` without the knobs of `OWN`."""
    node = config.trainer.copy()
    OmegaConf.set_struct(node, False)
    for name in OWN:
        node.pop(name, None)
    return node


def set_rank(config: DictConfig) -> bool:
    """Tell Lightning the rank of this process in its run, 0 where the run has no other.

    At its import Lightning takes RANK, LOCAL_RANK, SLURM_PROCID and the like for it, though they may be of the job
    around: four runs of one process each, side by side. Its Trainer knows better.

    Args:
        config: of the run.

    Returns:
        Whether the run has further processes, started by torchrun, srun or Lightning.
    """
    trainer = None
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its notes on devices do not help a fit
    with warnings.catch_warnings(action="ignore"), suppress(UserError), as_user_error("trainer"):  # the run's says all
        trainer = build(lightnings(config), logger=False, enable_checkpointing=False, plugins=cluster(config))
    if not isinstance(trainer, pl.Trainer) or trainer.world_size == 1:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
        return False
    rank_zero_only.rank = trainer.global_rank  # type: ignore[attr-defined]
    return bool(trainer.strategy.cluster_environment.creates_processes_externally)  # type: ignore[attr-defined]


def cluster(config: DictConfig) -> list[ClusterEnvironment]:
    """The plugins by which Lightning lets a run of one process be one of several tasks of Slurm."""
    trainer = config.trainer
    if not isinstance(trainer, DictConfig):
        return []
    alone = str(trainer.get("devices")) == "1" and str(trainer.get("num_nodes") or 1) == "1"
    several = os.environ.get("SLURM_NTASKS", "1") != "1"
    return [LightningEnvironment()] if several and alone and (trainer.get("strategy") or "auto") == "auto" else []
