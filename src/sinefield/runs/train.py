"""The composition root: a config in, a finished run folder out."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from sinefield.activations.siren2 import spectral_centroid
from sinefield.core.jet import BLOCK
from sinefield.errors import integer, require
from sinefield.evaluation.base import Evaluation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.stack import stack_fields
from sinefield.losses.base import Loss
from sinefield.runs.configuration import as_user_error, build, build_optimizer, complete, explain_no_memory, logging_to
from sinefield.runs.fingerprints import fingerprints, require_unchanged
from sinefield.runs.folders import register_resolvers
from sinefield.runs.loading import build_field, initialise, learned_rates
from sinefield.runs.results import begin, conclude, lengthens, write_metrics
from sinefield.runs.trainer import check, clipping, make_trainer, set_rank
from sinefield.signals.base import Signal
from sinefield.system.files import writing
from sinefield.system.shutdown import Interrupts
from sinefield.system.status import NullStatus, Status, read, refuse
from sinefield.system.streams import unfailing_output
from sinefield.training import checkpoints
from sinefield.training.callbacks import History, Progress
from sinefield.training.data import SignalData
from sinefield.training.environment import Usage, environment, is_rank_zero
from sinefield.training.module import FieldModule


@unfailing_output()
def train(
    config: DictConfig,
    folder: str | Path,
    resume: bool = False,
    alone: bool = True,
    texts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Fit a signal and leave a run folder: config, history, checkpoints, pictures, and last metrics.json, returned too.

    SIGTERM and Ctrl-C let the step in progress end, write a checkpoint and raise `Interrupted`.

    Args:
        config: as composed from conf/.
        folder: the run folder; must not hold a finished run, unless it is resumed with more trainer.max_steps.
        resume: go on from the last checkpoint in the folder, where there is one, which was made with the same `config`
            but for trainer.max_steps: the schedule goes on as if it had been that of the longer run all along.
        alone: False for a job of a sweep, which must not start further processes.
        texts: further files for the folder, by name.

    Raises:
        UserError: for anything the user can mend, before the first step where it can be known by then.
        UnwritableError: a file cannot be written; the run can be resumed.
    """
    folder = Path(folder)
    last, longer = folder / "checkpoints" / "last.ckpt", partial(lengthens, config, folder)
    refuse(folder, read(folder), resume, longer)  # and again once nobody else can change what is there
    set_rank(config)
    kind = Status if is_rank_zero() else NullStatus
    status = kind(folder, lambda found: refuse(folder, found, resume, longer), texts)
    with Interrupts() as interrupts, status, explain_no_memory():
        interrupts.release()
        status.resumable = resume and last.is_file()
        return _train(config, folder, last if status.resumable else None, interrupts, status, alone)


@contextmanager
def _settings() -> Iterator[None]:
    """What a run needs of this process: float32 by default, denormals flushed to 0, and silence where nothing is wrong.

    trainer.precision says what a run computes in, whatever the caller's default is.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(True)  # for good: threads keep it. Denormal matrices multiply 20 times as slowly on x86
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls what torch 2.13 renamed; every process scores everything; not all of Slurm is srun.
            for message in (r".*isinstance\(treespec, LeafSpec", r".*self\.log\(.*sync_dist=T", "The `srun` command"):
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        torch.set_default_dtype(before)


@_settings()
def _train(
    config: DictConfig, folder: Path, last: Path | None, interrupts: Interrupts, status: Status, alone: bool
) -> dict[str, Any]:
    """`train`, once it is known that the folder is free, and from which checkpoint to go on."""
    usage = Usage()
    if last is not None:
        require_unchanged(folder)
    register_resolvers()  # again: a launcher's worker forgets what its parent did not know whenever it begins a job
    complete(config)
    check(config)
    pl.seed_everything(integer("seed", config.seed, least=0, most=2**32 - 1), verbose=False)

    signal, field, loss, mean_squares, evaluations = build_problem(config, start=last is None)
    with as_user_error("data"):
        knobs = cast("dict[str, Any]", OmegaConf.to_container(config.data, resolve=True))
        knobs |= {"max_steps": config.trainer.max_steps, "evaluation": evaluations[0]}
        data = SignalData(signal, loss, **knobs, accumulate=config.trainer.get("accumulate_grad_batches") or 1)
    rates = config.optimizer.get("rates")  # of optimizer=learned: the folder of the run that has them
    learned = {} if rates is None else learned_rates(rates, last)
    optimizer, scheduler = build_optimizer(config, data.max_steps, several=bool(field.stack), **learned)
    module = FieldModule(field, loss, mean_squares, evaluations, optimizer, scheduler, config.chunk, clipping(config))

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    status.running()
    resolved = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
    if is_rank_zero():
        begin(folder, resolved, last is None, status.texts)
    history = History(folder / "history.csv", module.monitor.key)
    keeper = checkpoints.Checkpoints(folder / "checkpoints", interrupts)
    callbacks = [Progress(), history, keeper]  # in this order: a checkpoint holds the row of its evaluation
    if last is not None:
        callbacks.insert(0, checkpoints.Continue(last, [history, keeper], status.stepped))
    if config.get("callback") is not None:
        callbacks.insert(0, build(config.callback))
    with logging_to(config.logger if is_rank_zero() else None, folder) as logger:
        trainer = make_trainer(config, folder, logger, callbacks, alone)
        if logger:
            logger.log_hyperparams(resolved)
        made = {"seed": config.seed, **environment(trainer.strategy.root_device)}  # the fit may outlast the code
        with module.microbatches.thread_pool(trainer.strategy.root_device):
            trainer.fit(module, datamodule=data)
        history.require_evaluated(trainer.global_step)
        if not trainer.is_global_zero:
            return {**module.scores, **module.evaluations[0].described()}
        steps, seconds = trainer.global_step, history.fit_seconds
        costs = {"steps": steps, "fit_seconds": seconds, "steps_per_second": steps / seconds, **made}
        if module.extended_at:
            costs["extended_at"] = module.extended_at
        used = partial(usage.measured, trainer.strategy.root_device)  # Lightning has moved the module off it by now
        metrics, pictures = conclude(folder, resolved, signal, module, history, costs, used)
        if logger:
            logger.show(pictures)
            logger.log_metrics({k: v for k, v in metrics.items() if isinstance(v, int | float)}, steps)
    status.finished()
    write_metrics(folder, metrics)
    return metrics


def build_problem(
    config: DictConfig, start: bool = True
) -> tuple[Signal, CoordinateMLP, Loss, dict[str, torch.Tensor], list[Evaluation]]:
    """Signal, field, loss, mean square of each term, evaluation of each field; `config.derived` is filled in.

    A signal of several that lie side by side is fitted by a stack of fields, which all start alike: from the seed, or
    from the weights of the run `field.init`, or those that the signal prepares, unless `start` is False since a
    checkpoint has others.
    """
    signal = build(config.signal)
    own = [part for part, _ in signal.components().values()] or [signal]  # each for a field of its own
    derived = {"dims": signal.dims, "channels": own[0].channels, "samples": signal.side, "last": signal.shape[0]}
    derived |= {"effort": signal.effort, "pictures": signal.count}
    if "centroid" in config.derived:  # something asks for it
        derived["centroid"] = spectral_centroid(_rows(own[0]))
    config.derived = derived | {"files": fingerprints(signal.files)}
    field = build_field(config.field)
    signal.show(field)
    if start and config.field.get("init") is not None:
        initialise(field, config.field.init)
    elif start:
        signal.prepare(field)
    with as_user_error("field"):
        channels = field(signal.grid(torch.zeros(1, dtype=torch.long))).shape[-1]
    require(channels == own[0].channels, f"field.out_features is {channels}, and the signal has {own[0].channels}")
    loss = build(config.loss)
    evaluations = [build(config.evaluation, signal=part, loss=loss) for part in own]
    config.derived = {**config.derived, "scores": evaluations[0].described()}  # read by the dashboard until the end
    mean_squares = {name: torch.stack([term.mean_square(part) for part in own]) for name, term in loss.terms.items()}
    if signal.components():
        field = stack_fields([field] * len(own))
    else:
        mean_squares = {name: value[0] for name, value in mean_squares.items()}
    require(
        loss.order <= field.max_order,
        f"this loss looks at derivatives of order {loss.order}, and those of "
        f"{type(field.activation).__name__} vanish almost everywhere from order {field.max_order + 1} on; "
        f"use activation=sine, activation=softplus in the place of relu, or a loss of lower order (loss=gradient, or "
        f"loss=sobolev loss.terms.laplacian=null)",
    )
    return signal, field, loss, mean_squares, evaluations


def _rows(signal: Signal) -> torch.Tensor:
    """(R, W, C), the values along whole rows of samples, evenly spread and as many as fit a block."""
    *others, width = signal.shape
    each = max(1, int((BLOCK / width) ** (1 / max(1, len(others)))))
    numbers = [torch.linspace(0, n - 1, min(n, each)).long() for n in others]
    x = signal.lattice([*numbers, torch.arange(width)]).flatten(0, -2)
    return signal.jet(x, 0).value.reshape(-1, width, signal.channels)
