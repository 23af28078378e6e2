"""Lightning's Trainer for a fit: every one of its knobs works, or is refused before the first step by one line.

The module takes its own optimizer steps (manual optimisation), so it clips and accumulates gradients itself. Where the
points and the evaluations come from is the DataModule's, and the run folder has its own logger and checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from sinefield.errors import integer, positive, require
from sinefield.runs.configuration import build
from sinefield.runs.rank import cluster, lightnings
from sinefield.training.checkpoints import AtomicCheckpoints
from sinefield.training.clipping import CLIPS

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def make_trainer(
    config: DictConfig, folder: Path, logger: Any, callbacks: list[pl.Callback], alone: bool
) -> pl.Trainer:
    """The Trainer that `config.trainer` describes.

    Args:
        config: of the run, whose knobs `check` has seen.
        folder: of the run, into which a profiler writes.
        logger: Lightning's, or None.
        callbacks: all but what a knob takes away or adds.
        alone: False for a job of a sweep, which must not start further processes.

    Raises:
        UserError: Lightning does not take its arguments, or it would start processes in a way that does not work here.
    """
    node = lightnings(config)
    with_bar = node.get("enable_progress_bar") is not False
    profiler = PROFILERS.get(node.get("profiler")) if isinstance(node.get("profiler"), str) else None
    trainer = build(
        node,
        logger=logger or False,
        callbacks=[callback for callback in callbacks if with_bar or not isinstance(callback, ProgressBar)],
        enable_checkpointing=False,
        num_sanity_val_steps=0,  # before the first step there is nothing to evaluate
        use_distributed_sampler=False,  # the points are dealt out where they are drawn; all see the whole evaluation
        plugins=[AtomicCheckpoints(), *cluster(config)],
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


def check(config: DictConfig) -> None:
    """Raise `UserError` for a knob of `config.trainer` that cannot work, or that Lightning does not look at in time."""
    require("_target_" in config.trainer, "trainer must be a choice from conf/trainer, with a _target_")
    knobs: Any = OmegaConf.to_container(config.trainer, resolve=True)
    for name, rule in RULES.items():
        if knobs.get(name) is not None:
            rule(f"trainer.{name}", knobs[name])
    epochs = knobs.get("check_val_every_n_epoch", 1)
    require(epochs is not None, f"trainer.check_val_every_n_epoch must be 1, not null; leave it out: {_evaluation}")
    alone = knobs.get("gradient_clip_algorithm") is not None and knobs.get("gradient_clip_val") is None
    require(not alone, "trainer.gradient_clip_algorithm needs a limit; add trainer.gradient_clip_val=1")


def clipping(config: DictConfig) -> Callable[..., None] | None:
    """How gradients are clipped, as `FieldModule` wants it; None for not at all."""
    limit = config.trainer.get("gradient_clip_val")
    if limit is None:
        return None
    clip = CLIPS[config.trainer.get("gradient_clip_algorithm") or "norm"]
    return partial(clip, limit=positive("trainer.gradient_clip_val", limit))


def accumulated(config: DictConfig) -> int:
    """Batches per step."""
    value = config.trainer.get("accumulate_grad_batches")
    return 1 if value is None else integer("trainer.accumulate_grad_batches", value, least=1)


Rule = Callable[[str, Any], object]  # given a knob's name and its value, which is not null; raises UserError


def _count(least: int, unlimited: bool = False) -> Rule:
    """A whole number; with `unlimited` also -1, which Lightning takes as no -1.0."""

    def rule(name: str, value: Any) -> None:
        if not (unlimited and isinstance(value, int) and value == -1):
            integer(name, value, least)

    return rule


def _one_of(*choices: Any, instead: str = "") -> Rule:
    """One of some values; with `instead`, those that change nothing: the knob has no use here."""

    def rule(name: str, value: Any) -> None:
        known = any(type(value) is type(choice) and value == choice for choice in choices)
        listed = f"{name} must be one of {', '.join(map(_typed, choices))} or null, not {_typed(value)}"
        require(known, f"{name} has no use here; leave it out: {instead}" if instead else listed)

    return rule


def _free(name: str, value: Any) -> None:
    """Lightning's own: it looks at the value when the Trainer is made."""


def _text(name: str, value: Any) -> None:
    """A word, or a table with a `_target_`, that makes what Lightning takes as well."""
    is_text = isinstance(value, str) or (isinstance(value, dict) and "_target_" in value)
    known = f"one of {', '.join(PROFILERS)} or null" if name == "trainer.profiler" else "text"
    require(is_text, f"{name} must be {known}, not {_typed(value)}; if it is, write \"{name}='{_typed(value)}'\"")


def _typed(value: Any) -> str:
    """As it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


_flag = _one_of(True, False)
_evaluation = "an evaluation sees the whole grid, after every data.eval_every steps"
_length = "trainer.max_steps is the length of a run, data.eval_every the distance between evaluations"

RULES: dict[str, Rule] = {  # for every parameter of pl.Trainer
    "accelerator": _text,
    "strategy": _text,
    "devices": _free,
    "num_nodes": _count(1),
    "precision": _free,
    "logger": _one_of(instead="choose logger=csv, logger=wandb or logger=none"),
    "callbacks": _one_of([], instead="callback= takes one more callback"),
    "fast_dev_run": _one_of(False, 0, instead="trainer.max_steps=5 is a short run"),
    "max_epochs": _count(1, unlimited=True),
    "min_epochs": _count(0),
    "max_steps": _count(1),
    "min_steps": _count(0),
    "max_time": _free,
    "limit_train_batches": _one_of(1.0, instead=_length),
    "limit_val_batches": _one_of(1.0, instead=_evaluation),
    "limit_test_batches": _free,  # nothing is tested
    "limit_predict_batches": _free,
    "overfit_batches": _one_of(0, 0.0, instead="data.batch_size=null takes the same samples in every step"),
    "val_check_interval": _one_of(1.0, instead=_evaluation),
    "check_val_every_n_epoch": _one_of(1, instead=_evaluation),
    "num_sanity_val_steps": _one_of(0, instead="before the first step there is nothing to evaluate"),
    "log_every_n_steps": _count(0),
    "enable_checkpointing": _one_of(True, instead="a run always writes last.ckpt and best.ckpt"),
    "enable_progress_bar": _flag,
    "enable_model_summary": _flag,
    "accumulate_grad_batches": _count(1),
    "gradient_clip_val": positive,
    "gradient_clip_algorithm": _one_of(*CLIPS),
    "deterministic": _one_of(True, False, "warn"),
    "benchmark": _flag,
    "inference_mode": _flag,
    "use_distributed_sampler": _one_of(False, instead="every process gets its own points without one"),
    "profiler": _text,
    "detect_anomaly": _flag,
    "barebones": _one_of(False, instead="logger=none and trainer.enable_progress_bar=false leave little to save"),
    "plugins": _one_of(
        [], instead="trainer.precision chooses the precision; checkpoints are written in a way of their own"
    ),
    "sync_batchnorm": _flag,  # no network here has such a layer
    "reload_dataloaders_every_n_epochs": _count(0),
    "default_root_dir": _text,
    "enable_autolog_hparams": _flag,
    "model_registry": _one_of(instead="no model is uploaded"),
}
