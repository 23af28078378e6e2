"""What a run of train.py takes: it is started in a process of its own, and a callback in it looks at the clock."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from sinefield.training.data import SignalData
from sinefield.training.environment import resident
from sinefield.training.microbatches import Microbatches
from sinefield.training.module import FieldModule


class Stopwatch(pl.Callback):
    """Writes how long the steps and evaluations of a fit took, as JSON, at its end.

    Args:
        path: of the file.
        bare: take every step and evaluation a second time, in turn with the fit's, by a loop without Lightning.
    """

    def __init__(self, path: str, bare: bool = False) -> None:
        self.path = Path(path)
        self.bare = bare
        self.twin: _Twin | None = None
        self.found: dict[str, Any] = {"steps": [], "evaluations": [], "bare_steps": [], "bare_evaluations": []}
        self._left = float("nan")
        self._evaluated = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the bare loop."""
        self.found["every"] = trainer.datamodule.eval_every  # type: ignore[attr-defined]
        if self.bare:
            self.twin = _Twin(trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        """A step has ended: note its time, and take it again."""
        now = time.perf_counter()
        if "first_step" not in self.found:
            self.found["first_step"] = {"at": time.time(), "cpu_seconds": time.process_time()}
        else:
            self.found["evaluations" if self._evaluated else "steps"].append(now - self._left)
        self._evaluated = False
        if self.twin is not None:
            self.found["bare_steps"].append(_seconds(self.twin.step, trainer.global_step - 1))
            if self.twin.data.due(trainer.global_step):
                self.found["bare_evaluations"].append(_seconds(self.twin.evaluate))
        self.found["anonymous_mb"] = resident("RssAnon") / 2**20
        self._left = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What the next step's time holds is an evaluation too."""
        self._evaluated = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file."""
        self.path.write_text(json.dumps(self.found))


class _Twin:
    """The same field, loss, points and optimizer as a fit's, in the loop that one would write by hand."""

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(module, FieldModule)
        assert isinstance(data, SignalData)
        self.data, self.loss, self.mean_squares = copy.copy(data), module.loss, module.mean_squares
        self.evaluation = module.evaluations[0]
        field = copy.deepcopy(module.field)
        self.microbatches = Microbatches(field, module.microbatches.points)
        self.microbatches.pool, self.microbatches.threads = module.microbatches.pool, module.microbatches.threads
        self.optimizer = module.make_optimizer(field.parameters())
        self.scheduler = None if module.make_scheduler is None else module.make_scheduler(self.optimizer)

    def step(self, number: int) -> None:
        self.optimizer.zero_grad()
        self.microbatches.gradient(self.loss, self.data.batch(number), self.mean_squares)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def evaluate(self) -> None:
        self.evaluation.scores(torch.cat([self.microbatches.values(x) for x in self.evaluation.points()]))


def _seconds(work: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def watched(script: Path, *overrides: str, bare: bool = False) -> dict[str, Any]:
    """What a run of train.py, the script, leaves in metrics.json and finds in the watch, seconds.

    Returns:
        What metrics.json holds; steps, evaluations: of each but the first, an evaluation with the step after it, its
        checkpoint and its row in history.csv; bare_steps, bare_evaluations: without Lightning, and without checkpoint
        and row; every: steps between evaluations; anonymous_mb: resident at the last step, but for what is mapped from
        files; first_step: seconds from the command to its end, and the CPU's.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path, folder = Path(scratch) / "watch.json", Path(scratch) / "run"
        watch = f"callback={{_target_:{Stopwatch.__module__}.Stopwatch,path:'{path}',bare:{str(bare).lower()}}}"
        command = [sys.executable, str(script), *overrides, watch, f"hydra.run.dir='{folder}'"]
        start = time.time()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr}")
        found = json.loads((folder / "metrics.json").read_text()) | json.loads(path.read_text())
    found["first_step"]["seconds"] = found["first_step"].pop("at") - start
    return dict(found)
