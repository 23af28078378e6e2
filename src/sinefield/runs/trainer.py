"""Lightning's Trainer for a fit: every one of its knobs works, or is refused before the first step by one line.

The module takes its own optimizer steps (manual optimisation), so it clips and accumulates gradients itself. Where the
points and the evaluations come from is the DataModule's, and the run folder has its own logger and checkpoints.
"""

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import sinefield.training  # noqa: F401  before Lightning, whose import it makes quick

# isort: split
import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities import rank_zero_only

from sinefield.errors import UserError, integer, positive, require
from sinefield.runs.configuration import as_user_error, build
from sinefield.training.checkpoints import AtomicCheckpoints
from sinefield.training.clipping import CLIPS

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}

_evaluation = "an evaluation sees the whole grid, after every data.eval_every steps"
_length = "trainer.max_steps is the length of a run, data.eval_every the distance between evaluations"

# Every parameter of pl.Trainer is in one of the next five tables; null is permitted everywhere.
COUNTS = dict.fromkeys(("num_nodes", "max_epochs", "max_steps", "accumulate_grad_batches"), 1)  # the least
COUNTS |= dict.fromkeys(("min_epochs", "min_steps", "log_every_n_steps", "reload_dataloaders_every_n_epochs"), 0)
_flags = "enable_progress_bar enable_model_summary benchmark inference_mode detect_anomaly sync_batchnorm"
CHOICES: dict[str, tuple[Any, ...]] = dict.fromkeys((*_flags.split(), "enable_autolog_hparams"), (True, False))
CHOICES |= {"deterministic": (True, False, "warn"), "gradient_clip_algorithm": tuple(CLIPS)}
WITHOUT_USE: dict[str, tuple[tuple[Any, ...], str]] = {  # the values that change nothing, and what to do instead
    "logger": ((), "choose logger=csv, logger=wandb or logger=none"),
    "callbacks": (([],), "callback= takes one more callback"),
    "fast_dev_run": ((False, 0), "trainer.max_steps=5 is a short run"),
    "limit_train_batches": ((1.0,), _length),
    "limit_val_batches": ((1.0,), _evaluation),
    "overfit_batches": ((0, 0.0), "data.batch_size=null takes the same samples in every step"),
    "val_check_interval": ((1.0,), _evaluation),
    "check_val_every_n_epoch": ((1,), _evaluation),
    "num_sanity_val_steps": ((0,), "before the first step there is nothing to evaluate"),
    "enable_checkpointing": ((True,), "a run always writes last.ckpt and best.ckpt"),
    "use_distributed_sampler": ((False,), "every process gets its own points without one"),
    "barebones": ((False,), "logger=none and trainer.enable_progress_bar=false leave little to save"),
    "plugins": (([],), "trainer.precision chooses the precision; checkpoints are written in a way of their own"),
    "model_registry": ((), "no model is uploaded"),
}
TEXTS = ("accelerator", "strategy", "profiler", "default_root_dir")  # or a table that makes what Lightning takes
# Lightning looks at these itself when the Trainer is made, `clipping` at the last one; nothing is tested or predicted.
FREE = ("devices", "precision", "max_time", "limit_test_batches", "limit_predict_batches", "gradient_clip_val")

# What the module and the run look after themselves, and Lightning refuses or must not see.
OWN = {"gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches"}
OWN |= {"logger", "callbacks", "enable_checkpointing", "num_sanity_val_steps", "use_distributed_sampler", "plugins"}


def check(config: DictConfig) -> None:
    """Raise `UserError` for a knob of `config.trainer` that cannot work, or that Lightning does not look at in time."""
    require("_target_" in config.trainer, "trainer must be a choice from conf/trainer, with a _target_")
    knobs: Any = OmegaConf.to_container(config.trainer, resolve=True)
    epochs = knobs.get("check_val_every_n_epoch", 1)
    require(epochs is not None, f"trainer.check_val_every_n_epoch must be 1, not null; leave it out: {_evaluation}")
    alone = knobs.get("gradient_clip_algorithm") is not None and knobs.get("gradient_clip_val") is None
    require(not alone, "trainer.gradient_clip_algorithm needs a limit; add trainer.gradient_clip_val=1")
    for knob, value in knobs.items():
        name, typed = f"trainer.{knob}", str(value).lower() if isinstance(value, bool) else str(value)
        if value is None:
            continue
        if knob in COUNTS and not (knob == "max_epochs" and _among(value, (-1,))):  # no limit
            integer(name, value, COUNTS[knob])
        if knob in CHOICES:
            choices = ", ".join(str(choice).lower() for choice in CHOICES[knob])
            require(_among(value, CHOICES[knob]), f"{name} must be one of {choices} or null, not {typed}")
        if knob in WITHOUT_USE:
            values, instead = WITHOUT_USE[knob]
            require(_among(value, values), f"{name} has no use here; leave it out: {instead}")
        if knob in TEXTS:
            is_text = isinstance(value, str) or (isinstance(value, dict) and "_target_" in value)
            known = f"one of {', '.join(PROFILERS)} or null" if knob == "profiler" else "text"
            require(is_text, f"{name} must be {known}, not {typed}; if it is, write \"{name}='{typed}'\"")


def _among(value: Any, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


def clipping(config: DictConfig) -> Callable[..., None] | None:
    """How gradients are clipped, as `FieldModule` wants it; None for not at all."""
    limit = config.trainer.get("gradient_clip_val")
    if limit is None:
        return None
    clip = CLIPS[config.trainer.get("gradient_clip_algorithm") or "norm"]
    return partial(clip, limit=positive("trainer.gradient_clip_val", limit))


def make_trainer(
    config: DictConfig, folder: Path, logger: Any, callbacks: list[pl.Callback], alone: bool
) -> pl.Trainer:
    """The Trainer that `config.trainer`, which `check` has seen, describes.

    Args:
        config: of the run.
        folder: of the run, into which a profiler writes.
        logger: Lightning's, or None.
        callbacks: all but what a knob takes away or adds.
        alone: False for a job of a sweep, which must not start further processes.

    Raises:
        UserError: Lightning does not take its arguments, or it would start processes in a way that does not work here.
    """
    node = _lightnings(config)
    with_bar = node.get("enable_progress_bar") is not False
    profiler = PROFILERS.get(node.get("profiler")) if isinstance(node.get("profiler"), str) else None
    trainer = build(
        node,
        logger=logger or False,
        callbacks=[callback for callback in callbacks if with_bar or not isinstance(callback, ProgressBar)],
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the points are dealt out where they are drawn; all see the whole evaluation
        plugins=[AtomicCheckpoints(), *_cluster(config)],
        **({} if profiler is None else {"profiler": profiler(dirpath=folder, filename="profiler")}),
    )
    strategy = trainer.strategy
    scripts = isinstance(strategy, DDPStrategy) and strategy._start_method == "popen"  # each process runs the command
    require(
        scripts or isinstance(strategy, SingleDeviceStrategy),
        f"trainer.strategy={config.trainer.get('strategy', 'auto')} does not fit here; use auto, or ddp for several "
        "processes",
    )
    placed = trainer.world_size == 1 or strategy.cluster_environment.creates_processes_externally
    require(
        alone or placed,
        "a job of a sweep on this machine cannot start further processes: they would run the whole sweep; "
        "use trainer=default, one run without -m, or hydra/launcher=slurm",
    )
    return trainer


def set_rank(config: DictConfig) -> bool:
    """Tell Lightning the rank of this process in its run; whether torchrun, srun or Lightning started others of it.

    At its import Lightning takes RANK, LOCAL_RANK, SLURM_PROCID and the like for it, though they may be of the job
    around: four runs of one process each, side by side. Its Trainer knows better. A run of one process has rank 0.
    """
    trainer = None
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its notes on devices do not help a fit
    with warnings.catch_warnings(action="ignore"), suppress(UserError), as_user_error("trainer"):  # the run's says all
        # how many steps the signal takes is not known yet
        trainer = build(
            _lightnings(config), max_steps=1, logger=False, enable_checkpointing=False, plugins=_cluster(config)
        )
    if not isinstance(trainer, pl.Trainer) or trainer.world_size == 1:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
        return False
    rank_zero_only.rank = trainer.global_rank  # type: ignore[attr-defined]
    return bool(trainer.strategy.cluster_environment.creates_processes_externally)  # type: ignore[attr-defined]


def _lightnings(config: DictConfig) -> DictConfig:
    """`config.trainer` without the knobs of `OWN`."""
    node = config.trainer.copy()
    OmegaConf.set_struct(node, False)
    for name in OWN:
        node.pop(name, None)
    return node


def _cluster(config: DictConfig) -> list[ClusterEnvironment]:
    """The plugins by which Lightning lets a run of one process be one of several tasks of Slurm."""
    trainer = config.trainer
    if not isinstance(trainer, DictConfig):
        return []
    alone = str(trainer.get("devices")) == "1" and str(trainer.get("num_nodes") or 1) == "1"
    several = os.environ.get("SLURM_NTASKS", "1") != "1"
    return [LightningEnvironment()] if several and alone and (trainer.get("strategy") or "auto") == "auto" else []
