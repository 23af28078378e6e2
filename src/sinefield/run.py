"""The composition root: a config in, a finished run folder out."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from sinefield import checkpoints, saved
from sinefield.callbacks import History, Progress
from sinefield.configuration import (
    NEEDED,
    build,
    build_optimizer,
    complete,
    logging_to,
    mendable,
    settle,
    within_memory,
)
from sinefield.data import SignalData
from sinefield.environment import Usage, environment, leading
from sinefield.errors import require, whole
from sinefield.files import writing
from sinefield.fingerprints import fingerprints, require_unchanged
from sinefield.interrupts import Interrupts
from sinefield.module import FieldModule
from sinefield.rank import set_rank
from sinefield.resolvers import register_resolvers
from sinefield.results import begin, conclude, lengthens, write_metrics
from sinefield.stack import stacked
from sinefield.state import Elsewhere, Status, read, refuse
from sinefield.streams import unfailing_output
from sinefield.trainer import accumulated, check, clipping, make_trainer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from torch import nn

    from sinefield.field import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

torch.set_flush_denormal(True)  # bumps that underflow make denormal matrices: 20 times as slow to multiply on x86


@unfailing_output()
def train(
    config: DictConfig,
    folder: str | Path,
    resume: bool = False,
    alone: bool = True,
    texts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Fit a signal and leave a run folder: config, history, checkpoints, pictures, and metrics.json last.
    SIGTERM and Ctrl-C let the step in progress end, write a checkpoint and raise `Interrupted`.

    Args:
        config: as composed from conf/.
        folder: the run folder; must not hold a finished run, unless it is resumed with more trainer.max_steps.
        resume: go on from the last checkpoint in the folder, where there is one, which was made with the same `config`
            but for trainer.max_steps: the schedule goes on as if it had been that of the longer run all along.
        alone: False for a job of a sweep, which must not start further processes.
        texts: further files for the folder, by name.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: for anything the user can mend, before the first step where it can be known by then.
        UnwritableError: a file cannot be written; the run can be resumed.
    """
    folder = Path(folder)
    last, longer = folder / "checkpoints" / "last.ckpt", partial(lengthens, config, folder)
    refuse(folder, read(folder), resume, longer)  # and again once nobody else can change what is there
    set_rank(config)
    status = (Status if leading() else Elsewhere)(folder, lambda found: refuse(folder, found, resume, longer), texts)
    with Interrupts() as interrupts, status, within_memory():
        interrupts.release()
        status.resumable = resume and last.is_file()
        return _train(config, folder, last if status.resumable else None, interrupts, status, alone)


@contextmanager
def _float32() -> Iterator[None]:
    """Single precision by default: trainer.precision says what a run computes in, whatever the caller's default is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@_float32()
def _train(
    config: DictConfig, folder: Path, last: Path | None, interrupts: Interrupts, status: Status, alone: bool
) -> dict[str, Any]:
    """`train`, once it is known that the folder is free, and from which checkpoint to go on."""
    usage = Usage()
    if last is not None:
        require_unchanged(folder)
    register_resolvers()  # again: a launcher's worker forgets what its parent did not know whenever it begins a job
    with mendable("the configuration"):
        complete(config)
        settle(config)
        OmegaConf.to_container(config, resolve=True)
    for name in NEEDED:
        require(config[name] is not None, f"a run needs {name}; leave it as it is, or choose from conf/{name}")
    check(config)
    pl.seed_everything(whole("seed", config.seed, least=0, most=2**32 - 1), verbose=False)

    signal, field, loss, mean_squares = _problem(config)
    with mendable("data"):
        knobs = cast("dict[str, Any]", OmegaConf.to_container(config.data, resolve=True))
        data = SignalData(signal, loss, **knobs, accumulate=accumulated(config))
    optimizer, scheduler = build_optimizer(config, data.max_steps, several=bool(field.stack))
    module = FieldModule(field, loss, mean_squares, optimizer, scheduler, config.chunk, clipping(config))

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    status.running()
    resolved = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
    if leading():
        begin(folder, resolved, last is None, status.texts)
    history = History(folder / "history.csv")
    keeper = checkpoints.Checkpoints(folder / "checkpoints", interrupts)
    callbacks = [Progress(), history, keeper]  # in this order: a checkpoint holds the row of its evaluation
    if last is not None:
        callbacks.insert(0, checkpoints.Continue(last, [history, keeper], status.stepped))
    if config.get("watcher") is not None:
        callbacks.insert(0, build(config.watcher))
    with logging_to(config.logger if leading() else None, folder) as logger:
        trainer = make_trainer(config, folder, logger, callbacks, alone)
        told = f"data.max_steps is {data.max_steps}; leave it to trainer.max_steps, which is {trainer.max_steps}"
        require(data.max_steps == trainer.max_steps, told)  # else Lightning asks for steps for ever
        if logger:
            logger.log_hyperparams(resolved)
        made = {"seed": config.seed, **environment(trainer.strategy.root_device)}  # the fit may outlast the code
        with module.pieces.working(trainer.strategy.root_device):
            trainer.fit(module, datamodule=data)
        history.require_evaluated(trainer.global_step)
        if not trainer.is_global_zero:
            return dict(module.scores)
        costs = {
            "steps": trainer.global_step,
            "fit_seconds": history.fit_seconds,
            "steps_per_second": trainer.global_step / history.fit_seconds,
            **made,
            **({"extended_at": module.extended_at} if module.extended_at else {}),
        }
        used = partial(usage.measured, trainer.strategy.root_device)  # Lightning has moved the module off it by now
        metrics, pictures = conclude(folder, resolved, signal, module, history, costs, used)
        if logger:
            logger.show(pictures)
            logger.log_metrics({k: v for k, v in metrics.items() if isinstance(v, int | float)}, trainer.global_step)
    status.finished()
    write_metrics(folder, metrics)
    return metrics


def _problem(config: DictConfig) -> tuple[Signal, CoordinateMLP, Loss, dict[str, torch.Tensor]]:
    """What is fitted, by what, how it is compared, and the signal's mean squares; `config.facts` are filled in.

    A signal of several that lie side by side is fitted by a stack of fields, which all start alike, from the seed.
    """
    signal = build(config.signal)
    own = [part for part, _ in signal.apart().values()] or [signal]  # each for a field of its own
    require(own[0].channels in (1, 3), f"the signal has {own[0].channels} channels; a run draws 1 (grey) or 3 (colour)")
    facts = {"dims": signal.dims, "channels": own[0].channels, "samples": max(signal.shape)}
    config.facts = facts | {"files": fingerprints(signal.files)}
    field = build(config.field)
    with mendable("field"):
        channels = field(signal.grid(torch.zeros(1, dtype=torch.long))).shape[-1]
    require(channels == own[0].channels, f"field.out_features is {channels}, and the signal has {own[0].channels}")
    loss = build(config.loss)
    mean_squares = {name: term.mean_square(own[0]) for name, term in loss.terms.items()}
    if signal.apart():
        field = stacked([field] * len(own))
        mean_squares = {
            name: torch.stack([term.mean_square(part) for part in own]) for name, term in loss.terms.items()
        }
    require(
        loss.order <= field.smoothness,
        f"this loss looks at derivatives of order {loss.order}, and those of "
        f"{type(field.activation).__name__} vanish almost everywhere from order {field.smoothness + 1} on; "
        f"use activation=sine, or a loss of lower order (loss=gradient, or loss=sobolev loss.terms.laplacian=null)",
    )
    return signal, field, loss, mean_squares


def load(folder: str | Path, checkpoint: str = "last", trust: Collection[str] = ()) -> nn.Module:
    """The field of a finished run, as a plain module in evaluation mode on the CPU.

    Args:
        folder: the run folder.
        checkpoint: "last" for the final weights, "best" for those with the highest PSNR on the samples.
        trust: packages beside this one whose classes the folder's configuration may ask for.

    Returns:
        A module that maps (..., D) coordinates to (..., C) values in [-1, 1] and answers ``jet(x, order)``.

    Raises:
        UserError: the folder holds no finished run, it asks for what no run needs, or the checkpoint cannot be read.
    """
    folder = Path(folder)
    require((folder / "metrics.json").is_file(), f"{folder} holds no finished run (no metrics.json in it)")
    several = folder / "fields"
    require(not several.is_dir(), f"{folder} holds several fields; give the folder of one of those in {several}")
    file = folder / "checkpoints" / f"{checkpoint}.ckpt"
    state = checkpoints.read(file)["state_dict"]
    field = cast("nn.Module", build(saved.part(folder, "field", trust)))
    with checkpoints.belonging(file):
        field.load_state_dict({name.removeprefix("field."): tensor for name, tensor in state.items()})
    return field.eval()
