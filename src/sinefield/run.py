"""The composition root: a config in, a finished run folder out."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from sinefield import checkpoints, saved
from sinefield.callbacks import History, Progress
from sinefield.configuration import build, build_optimizer, check_trainer, know_times, mendable, settle, within_memory
from sinefield.data import SignalData
from sinefield.environment import Usage, environment, leading
from sinefield.errors import require, whole
from sinefield.files import writing
from sinefield.interrupts import Interrupts
from sinefield.jet import Jet
from sinefield.module import FieldModule
from sinefield.results import begin, conclude, write_metrics
from sinefield.stack import stacked
from sinefield.state import Elsewhere, Status, read
from sinefield.streams import unfailing_output

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from torch import nn

    from sinefield.field import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its notes on devices do not help a fit
# Lightning 2.6 calls what torch 2.13 renamed; it is theirs to mend.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
warnings.filterwarnings("ignore", message="The `srun` command is available")  # a run may well be alone on a cluster
warnings.filterwarnings("ignore", message=r".*self\.log\(.*sync_dist=True")  # every process scores everything
torch.set_flush_denormal(True)  # bumps that underflow make denormal matrices: 20 times as slow to multiply on x86


@unfailing_output()
def train(config: DictConfig, folder: Path, resume: bool = False, alone: bool = True) -> dict[str, Any]:
    """Fit a signal and leave a run folder: config, history, checkpoints, pictures, and metrics.json last.
    SIGTERM and Ctrl-C let the step in progress end, write a checkpoint and raise `Interrupted`.

    Args:
        config: as composed from conf/.
        folder: the run folder; must not hold a finished run.
        resume: go on from the last checkpoint in the folder, which was made with the same `config`, where there is one.
        alone: False for a job of a sweep, which must not start further processes.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: for anything the user can mend, before the first step where it can be known by then.
        UnwritableError: a file cannot be written; the run can be resumed.
    """
    state, last = read(folder)["state"], folder / "checkpoints" / "last.ckpt"
    require(state != "finished", f"{folder} holds a finished run; choose another hydra.run.dir")
    left = last.is_file() and state != "failed"
    require(resume or not left, f"{folder} holds an unfinished run; resume={folder} continues it")
    with Interrupts() as interrupts, Status(folder) if leading() else Elsewhere(folder) as status, within_memory():
        interrupts.release()
        return _train(config, folder, last if resume and last.is_file() else None, interrupts, status, alone)


def _train(
    config: DictConfig, folder: Path, last: Path | None, interrupts: Interrupts, status: Status, alone: bool
) -> dict[str, Any]:
    """`train`, once it is known that the folder is free, and from which checkpoint to go on."""
    usage = Usage()
    know_times()  # again: a launcher's worker forgets what its parent did not know whenever it begins a job
    with mendable("the configuration"):
        settle(config)
        OmegaConf.to_container(config, resolve=True)
    for name in ("signal", "field", "loss", "optimizer", "trainer", "data"):
        require(config.get(name) is not None, f"a run needs {name}; leave it as it is, or choose from conf/{name}")
    check_trainer(config.trainer)
    pl.seed_everything(whole("seed", config.seed, least=0, most=2**32 - 1), verbose=False)

    signal, field, loss, power = _problem(config)
    with mendable("data"):
        data = SignalData(signal, loss, **cast("dict[str, Any]", OmegaConf.to_container(config.data, resolve=True)))
    optimizer, scheduler = build_optimizer(config, data.max_steps, several=bool(field.stack))
    module = FieldModule(field, loss, power, optimizer, scheduler, chunk=config.chunk)

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    status.running()
    resolved = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
    if leading():
        begin(folder, resolved, anew=last is None)
    history = History(folder / "history.csv")
    keeper = checkpoints.Checkpoints(folder / "checkpoints", interrupts)
    callbacks = [Progress(), history, keeper]  # in this order: a checkpoint holds the row of its evaluation
    if last is not None:
        callbacks.insert(0, checkpoints.Continue(last, watchers=[history, keeper]))
    if config.get("watcher") is not None:
        callbacks.insert(0, build(config.watcher))
    with logging_to(config.logger if leading() else None, folder) as logger:
        trainer = _trainer(config, logger, callbacks, alone)
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
        }
        used = partial(usage.measured, trainer.strategy.root_device)  # Lightning has moved the module off it by now
        metrics, pictures = conclude(folder, resolved, signal, module, history, costs, used)
        if logger:
            logger.show(pictures)
            logger.log_metrics({k: v for k, v in metrics.items() if isinstance(v, int | float)}, trainer.global_step)
    status.finished()
    write_metrics(folder, metrics)
    return metrics


def _problem(config: DictConfig) -> tuple[Signal, CoordinateMLP, Loss, Jet]:
    """What is fitted, by what, how it is compared, and the signal's mean squares; `config.facts` are filled in.

    A signal of several that lie side by side is fitted by a stack of fields, which all start alike, from the seed.
    """
    signal = build(config.signal)
    own = [part for part, _ in signal.apart().values()] or [signal]  # each for a field of its own
    require(own[0].channels in (1, 3), f"the signal has {own[0].channels} channels; a run draws 1 (grey) or 3 (colour)")
    config.facts = {"dims": signal.dims, "channels": own[0].channels, "samples": max(signal.shape)}
    field = build(config.field)
    with mendable("field"):
        channels = field(signal.grid(torch.zeros(1, dtype=torch.long))).shape[-1]
    require(channels == own[0].channels, f"field.out_features is {channels}, and the signal has {own[0].channels}")
    loss = build(config.loss)
    power = own[0].power(loss.order)
    if signal.apart():
        field = stacked([field] * len(own))
        power = Jet(*map(torch.stack, zip(*(part.power(loss.order)[: loss.order + 1] for part in own), strict=True)))
    require(
        loss.order <= field.smoothness,
        f"this loss looks at derivatives of order {loss.order}, and those of "
        f"{type(field.activation).__name__} vanish almost everywhere from order {field.smoothness + 1} on; "
        f"use activation=sine, or a loss of lower order (loss=gradient, or loss=sobolev loss.laplacian=null)",
    )
    return signal, field, loss, power


def _trainer(config: DictConfig, logger: Any, callbacks: list[Any], alone: bool) -> pl.Trainer:
    """Lightning's, for the parts of a run."""
    trainer = build(
        config.trainer,
        logger=logger or False,
        callbacks=callbacks,
        enable_checkpointing=False,
        num_sanity_val_steps=0,  # before the first step there is nothing to evaluate
        plugins=[checkpoints.WholeFiles()],
    )
    placed = trainer.world_size == 1 or trainer.strategy.cluster_environment.creates_processes_externally
    require(
        alone or placed,
        "a job of a sweep on this machine cannot start further processes: they would run the whole sweep; "
        "use trainer=default, one run without -m, or hydra/launcher=slurm",
    )
    return trainer


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


@contextmanager
def logging_to(node: DictConfig | None, folder: Path) -> Iterator[Any]:
    """The logger that `node` describes, or None; closed as finished or, on any exception, as failed."""
    if node is None:
        yield None
        return
    logger = build(node, folder=str(folder))
    try:
        yield logger
    except BaseException:
        logger.close(exit_code=1)
        raise
    logger.close(exit_code=0)
