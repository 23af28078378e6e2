"""What runs of train.py take: each is started in a process of its own, and a callback in it looks at the clock."""

import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch

from sinefield.training.environment import resident


class Stopwatch(pl.Callback):
    """Writes how long the steps and evaluations of a fit took, as JSON, at its end.

    With `bare` every step and evaluation is taken a second time, in turn, by a loop as one would write it by hand.
    """

    def __init__(self, path: str, bare: bool = False) -> None:
        self.path, self.bare = Path(path), bare
        self.found: dict[str, Any] = {"steps": [], "evaluations": [], "bare_steps": [], "bare_evaluations": []}
        self._left, self._kind = 0.0, "steps"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepare the bare loop: the field, loss, points and optimizer of the fit."""
        module: Any = pl_module
        self.data: Any = copy.copy(trainer.datamodule)  # type: ignore[attr-defined]
        self.evaluation, self.loss, self.mean_squares = module.evaluations[0], module.loss, module.mean_squares
        self.microbatches = copy.copy(module.microbatches)
        self.microbatches.field = field = copy.deepcopy(module.field)
        self.optimizer = module.make_optimizer(field.parameters())
        self.scheduler = module.make_scheduler(self.optimizer) if module.make_scheduler else None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        """A step has ended: note its time, and take it again."""
        now, step = time.perf_counter(), trainer.global_step
        if "first_step" not in self.found:
            self.found["first_step"] = {"at": time.time(), "cpu_time": time.process_time()}
        else:
            self.found[self._kind].append(now - self._left)
        self._kind = "steps"
        if self.bare:
            self._clock("bare_steps", lambda: self._step(step - 1))
            if self.data.due(step):
                self._clock("bare_evaluations", self._evaluate)
        self.found["anonymous_mb"] = resident("RssAnon") / 2**20
        self._left = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What the next step's time holds is an evaluation too."""
        self._kind = "evaluations"

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file."""
        self.path.write_text(json.dumps(self.found | {"every": self.data.eval_every}))

    def _clock(self, kind: str, work: Callable[[], None]) -> None:
        start = time.perf_counter()
        work()
        self.found[kind].append(time.perf_counter() - start)

    def _step(self, number: int) -> None:
        self.optimizer.zero_grad()
        weights = self.loss.weights(self.mean_squares, number / self.data.max_steps)
        self.microbatches.gradient(self.loss, self.data.batch(number), weights)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def _evaluate(self) -> None:
        self.evaluation.scores(torch.cat([self.microbatches.values(x) for x in self.evaluation.points()]))


def watched(script: Path, *overrides: str, bare: bool = False) -> dict[str, Any]:
    """What a run of train.py, the script, leaves in metrics.json, and the seconds of its parts.

    These are first_step from the command to its end, with the CPU's, the other steps, evaluations with the step after
    each, and bare_steps and bare_evaluations. `every` is the number of steps between evaluations, anonymous_mb what is
    resident at the last step without what is mapped from files.
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
    found["first_step"]["time"] = found["first_step"].pop("at") - start
    return dict(found)


def overhead_rows(script: Path, overrides: list[str], steps: int, repeats: int) -> Iterator[dict[str, Any]]:
    """What surrounds a step: seconds of start-up, with the CPU's, and of Lightning's loop, beside those of a bare one.

    The run is of so many steps, all taken by both loops; the start is the median of repeats.
    """
    run = watched(script, *overrides, f"trainer.max_steps={steps}", bare=True)
    short = [*overrides, "trainer.max_steps=1"]
    first = [run["first_step"], *(watched(script, *short)["first_step"] for _ in range(repeats - 1))]
    for what, times in (("train.py --help", [_help(script) for _ in range(repeats)]), ("the first step's end", first)):
        yield {"what": what, **{name: median(its[name] for its in times) for name in times[0]}}
    step, bare_step = median(run["steps"]), median(run["bare_steps"][1:])
    pairs = {"step": (step, bare_step)}
    if run["evaluations"]:  # each of them with the step after it
        every, evaluation, bare = run["every"], median(run["evaluations"]) - step, median(run["bare_evaluations"])
        pairs["evaluation, checkpoint and history"] = (evaluation, bare)
        pairs[f"{every} steps and an evaluation"] = (every * step + evaluation, every * bare_step + bare)
    for what, (seconds, alone) in pairs.items():
        yield {"what": what, "time": seconds, "bare_loop": alone, "overhead": seconds / alone - 1}


def _help(script: Path) -> dict[str, float]:
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, str(script), "--help"], capture_output=True, check=True)
    spent = [then - now for now, then in zip(before, os.times(), strict=True)]
    return {"time": time.perf_counter() - start, "cpu_time": spent[2] + spent[3]}  # the children's, user and system
