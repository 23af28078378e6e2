"""Stops a trial of a search that falls behind the others."""

import os
import sqlite3
from functools import partial
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

import optuna
import pytorch_lightning as pl

from sinefield.training.module import FieldModule

_SCHEME = "sqlite:///"


def url(database: Path) -> str:
    """The URL of a SQLite file, in ASCII, whatever characters or bytes the path has.

    >>> url(Path("/a?b/study.db"))
    'sqlite:////a%3Fb/study.db'
    """
    return _SCHEME + quote_from_bytes(os.fsencode(database.absolute()))


def open_storage(storage: str) -> optuna.storages.RDBStorage:
    """The database at a `url`, made where there is none.

    SQLite gets the path itself: SQLAlchemy reads an escape in a URL only from version 2.1 on, and Optuna takes braces
    in one for a template. Threads are allowed, as SQLAlchemy, whose pool guards the file, allows them.
    """
    path = os.fsdecode(unquote_to_bytes(storage.removeprefix(_SCHEME)))
    connect = partial(sqlite3.connect, path, check_same_thread=False)
    return optuna.storages.RDBStorage(f"{_SCHEME}study.db", engine_kwargs={"creator": connect})


class Prune(pl.Callback):
    """Reports every evaluation to the study, and ends the run, finished early, where it is behind the trials before.

    That is behind the median of their values at the same step (Optuna's MedianPruner).

    Args:
        storage: `url` of the study's database, in which the run is `trial`.
        warmup: share of the steps before which no run is ended.
    """

    def __init__(self, storage: str, trial: int, metric: str, warmup: float = 0.3) -> None:
        self.metric = metric
        self.warmup = warmup
        self.study = optuna.load_study(study_name="search", storage=open_storage(storage))
        self.trial = optuna.trial.Trial(self.study, trial)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the metric, and compare."""
        assert isinstance(pl_module, FieldModule)
        value, step = pl_module.scores.get(self.metric), trainer.global_step
        known = self.study.trials[self.trial.number].intermediate_values
        if value is None or step in known:  # nothing to compare, or reported before the run was resumed
            return
        self.trial.report(value, step)
        first = int(self.warmup * trainer.max_steps)
        self.study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=first)
        if step < trainer.max_steps and self.trial.should_prune():
            self.trial.set_user_attr("behind", True)
            trainer.should_stop = True
