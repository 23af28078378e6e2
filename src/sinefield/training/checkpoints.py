"""Checkpoints: last.ckpt, from which a run is continued as if nothing had happened, and best.ckpt.

A step is a function of the weights, the state of optimizer and schedule, and the step's number, which draws the points.
So a run is continued with a fresh Trainer and these four; Lightning's counters of epochs and batches are left alone.
"""

import errno
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import nn

from sinefield.errors import CheckpointError, UserError, integer, require
from sinefield.system.files import write_atomically, writing
from sinefield.system.shutdown import Interrupts
from sinefield.training.module import FieldModule
from sinefield.training.optimizer_state import restore_optimizer

AWAY = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ETIMEDOUT)  # the disk or the file server, not the file


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """A kill at any moment leaves the old one or the new one."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with writing(Path(path)):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), buffer.getvalue())


class Checkpoints(pl.Callback):
    """Writes best.ckpt, then last.ckpt, after every evaluation, and last.ckpt before a signal is obeyed."""

    def __init__(self, folder: Path, interrupts: Interrupts) -> None:
        self.folder = folder
        self.interrupts = interrupts  # held during training
        self.best: float | None = None  # the best score so far that the run is judged by

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hold the signals, over the handlers of Lightning."""
        self.interrupts.defer()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        """A moment at which a signal is obeyed: between two steps, unless an evaluation is due, whose row is kept."""
        assert isinstance(pl_module, FieldModule)
        if not pl_module.data.due(trainer.global_step) and self._stopping(trainer):
            self._save(trainer, pl_module, "last")
            self.interrupts.raise_pending()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep what was just scored."""
        assert isinstance(pl_module, FieldModule)
        monitor = pl_module.monitor
        value = pl_module.scores[monitor.key]
        assert value is not None
        if self.best is None or monitor.better(value, self.best):
            self.best = value
            self._save(trainer, pl_module, "best")
        self._save(trainer, pl_module, "last")
        if self._stopping(trainer):
            self.interrupts.raise_pending()

    def _save(self, trainer: pl.Trainer, module: FieldModule, name: str) -> None:
        module.guard.allow_checkpoint(trainer.global_step, module.field)
        trainer.save_checkpoint(self.folder / f"{name}.ckpt")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last checkpoint stands: nothing is lost any more."""
        self.interrupts.release()

    def _stopping(self, trainer: pl.Trainer) -> bool:
        """Whether a signal waits in any process of the run: all of them leave after the same step."""
        return trainer.strategy.reduce_boolean_decision(bool(self.interrupts.pending), all=False)

    def state_dict(self) -> dict[str, Any]:
        """The best score."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best score, from the checkpoint."""
        self.best = None if state_dict["best"] is None else float(state_dict["best"])


class Continue(pl.Callback):
    """Puts a new Trainer to where a checkpoint stands, before its first step.

    Args:
        file: the checkpoint; a `UserError` is raised where it cannot be read.
        callbacks: go on from their own state in it.
        stepped: called after every step beyond it.
    """

    def __init__(self, file: Path, callbacks: list[pl.Callback], stepped: Callable[[], None]) -> None:
        self.file = file
        self.callbacks = callbacks
        self.stepped = stepped
        self.state = read(file)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The weights, the step, which the first batch asks for, and what optimizers, schedules and callbacks know."""
        assert isinstance(pl_module, FieldModule)
        with belonging(self.file):
            pl_module.load_state_dict(self.state["state_dict"])
            pl_module.on_load_checkpoint(self.state)
            step = integer("its step", self.state["global_step"], 1, trainer.max_steps)
            # Not by `ckpt_path`: Lightning would restore its counters of epochs and batches from the checkpoint, which
            # nobody has checked, and would go on in the middle of an epoch without telling callbacks that it starts.
            loop = trainer.fit_loop.epoch_loop
            loop.manual_optimization.optim_step_progress.total.completed = step  # what trainer.global_step reads
            loop._batches_that_stepped = step  # what loggers are told
            for callback in self.callbacks:
                callback.load_state_dict(self.state["callbacks"][callback.state_key])
            before = self.state["found"].get("max_steps", trainer.max_steps)
            if integer("its max_steps", before, 1) != trainer.max_steps:
                pl_module.extended_at.append(step)
            (state,), schedulers = self.state["optimizer_states"], trainer.lr_scheduler_configs
            scheduler = schedulers[0].scheduler if schedulers else None
            copies = [nn.Parameter(parameter.detach().clone()) for parameter in pl_module.field.parameters()]
            restore_optimizer(trainer.optimizers[0], scheduler, pl_module.make_optimizer(copies), step, state)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        """A step is done."""
        self.stepped()


def read(file: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU; nothing in it is executed, and no more memory taken than the file's size.

    Raises:
        UserError: it is not a complete checkpoint, or its weights are not finite.
    """
    require(file.is_file(), f"{file} does not exist, or is no ordinary file; the checkpoints are called last and best")
    try:
        with zipfile.ZipFile(file) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed, as torch never writes it")
            if (entry := archive.testzip()) is not None:  # torch does not look at the checksums
                raise ValueError(f"{entry} in it is damaged")
        found = torch.load(file, map_location="cpu", weights_only=True)
        finite = all(bool(tensor.isfinite().all()) for tensor in found["state_dict"].values())
    except PermissionError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); give yourself permission to") from error
    except Exception as error:  # a damaged pickle makes its reader raise anything
        if _no_memory(error):
            raise
        if isinstance(error, OSError) and error.errno in AWAY:
            raise UserError(f"{file} cannot be read ({error.strerror}); try again once the disk is there") from error
        raise _foreign(file, error) from error
    if not finite:
        raise CheckpointError(f"{file} holds weights that are not finite: its fit diverged; take the other checkpoint")
    return found


@contextmanager
def belonging(file: Path) -> Iterator[None]:
    """Turn what a checkpoint of another run, or of another model, brings about into a `UserError` that names it."""
    try:
        yield
    except Exception as error:  # so does an optimizer or a schedule over a damaged state
        if _no_memory(error):
            raise
        raise _foreign(file, error) from error


def _no_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _foreign(file: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    said = f"{file} is not a whole checkpoint of this run ({reason}); take the other one, or start anew"
    return CheckpointError(said)
