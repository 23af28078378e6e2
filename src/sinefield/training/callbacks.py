"""What watches a run: the clock and history.csv, and one progress bar over all steps."""

import csv
import io
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ProgressBar
from tqdm.auto import tqdm

from sinefield.errors import require
from sinefield.evaluation.base import mean
from sinefield.system.files import write_atomically
from sinefield.training.environment import is_rank_zero
from sinefield.training.module import FieldModule


class History(pl.Callback):
    """Measures the seconds spent in optimizer steps and writes one row of history.csv per evaluation.

    Attributes:
        rows: step, seconds in steps, loss and its terms, scores; one dict per evaluation. Each has the key `monitor`.
        each: the same for every field of a stack, whose means `rows` holds; one list of dicts per field.
    """

    def __init__(self, path: Path, monitor: str) -> None:
        self.path = path
        self.monitor = monitor
        self.rows: list[dict[str, Any]] = []
        self.each: list[list[dict[str, Any]]] = []
        self._seconds = 0.0  # up to when the clock was started
        self._started: float | None = None

    @property
    def fit_seconds(self) -> float:
        """Up to now."""
        return self._seconds + (0.0 if self._started is None else time.perf_counter() - self._started)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give a new logger, and the file, the rows from before the run was interrupted, if only while drawing."""
        for row in self.rows:
            known = {k: v for k, v in row.items() if v is not None and k not in ("step", "seconds")}
            rounded = {k: torch.tensor(v).item() for k, v in known.items()}  # as Lightning logs them
            for logger in trainer.loggers:
                log = getattr(logger, "log_again", logger.log_metrics)  # one that goes on has some of them
                log(rounded, step=row["step"] - 1)  # as Lightning counts
        if self.rows:
            self._write()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock, once the device has done what it was asked."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self._seconds, self._started = self.fit_seconds, None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the row."""
        assert isinstance(pl_module, FieldModule)
        when, figures = {"step": trainer.global_step, "seconds": round(self.fit_seconds, 4)}, pl_module.figures
        self.rows.append(when | mean(figures))
        self.each = self.each or [[] for _ in figures]
        for rows, found in zip(self.each, figures, strict=True):
            rows.append(when | found)
        self._write()

    def require_evaluated(self, step: int) -> None:
        """Raise `UserError` unless the last evaluation is of this step, the last one."""
        last = self.rows[-1]["step"] if self.rows else 0
        said = f"the run ended after {step} steps, and its last evaluation came after {last}"
        require(last == step > 0, f"{said}; allow more trainer.max_time, or leave out the callback that ended it")

    def state_dict(self) -> dict[str, Any]:
        """The rows and the time so far, for the checkpoint."""
        return {"rows": self.rows, "each": self.each, "fit_seconds": self.fit_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows and the time so far, from the checkpoint; ValueError where they are none."""
        self.rows, self.each = list(state_dict["rows"]), [list(rows) for rows in state_dict["each"]]
        self._seconds = float(state_dict["fit_seconds"])
        rows = [row for rows in (self.rows, *self.each) for row in rows]
        needed = {"step", "seconds", "loss", self.monitor}
        numbers = all(
            isinstance(value, int | float) or (value is None and name not in needed)
            for row in rows
            for name, value in row.items()
        )
        alike = len({frozenset(row) for row in rows}) <= 1 and all(needed <= row.keys() for row in rows)
        complete = bool(self.each) == bool(self.rows) and all(len(rows) == len(self.rows) for rows in self.each)
        if not (numbers and alike and complete):
            raise ValueError("its history is none")

    def _write(self) -> None:
        if is_rank_zero():
            write_rows(self.path, self.rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A history.csv, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


class Progress(ProgressBar):
    """One bar over all steps, where Lightning's has one per epoch, with the loss and the score a run is judged by."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = tqdm(disable=True)
        self._shown = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar at the step where training stands."""
        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            desc="fit",
            disable=not is_rank_zero(),
            unit="step",
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n}/{total} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
            smoothing=0.1,
            mininterval=0.1 if sys.stderr.isatty() or "ipykernel" in sys.modules else 10,  # a log file wants few lines
        )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        """Advance; the figures are fetched from the device at most every half second."""
        self._bar.update(trainer.global_step - self._bar.n)
        if time.perf_counter() - self._shown > 0.5:
            self.on_validation_end(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show loss and score."""
        assert isinstance(pl_module, FieldModule)
        monitor = pl_module.monitor
        value = pl_module.scores.get(monitor.key)
        figures = {"loss": f"{pl_module.total:.2e}"} | ({} if value is None else {monitor.key: monitor.text(value)})
        self._bar.set_postfix(figures, refresh=False)
        self._shown = time.perf_counter()

    def disable(self, *_: Any, **__: Any) -> None:
        """Close the bar, at the end too, and at an error, which then starts on a line of its own."""
        self._bar.close()

    on_train_end = on_exception = disable
