"""From config nodes to objects, with every mistake as one line."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import torch
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override

from sinefield.errors import UserError, require
from sinefield.runs.folders import register_resolvers
from sinefield.training.optimizer_state import take_step

NEEDED = ("signal", "evaluation", "field", "loss", "optimizer", "trainer", "data")  # a run has each of these

register_resolvers()


def build(node: Any, **more: Any) -> Any:
    """The object a config node describes, None for none; what its constructor finds wrong becomes one line."""
    described = node is None or (isinstance(node, DictConfig) and "_target_" in node)
    require(described, f"{node!r} stands where a choice belongs, with a _target_; take one of those in conf/")
    with as_user_error(str(node._get_full_key(None)) if node is not None else ""):
        return instantiate(node, _convert_="all", **more)


def build_optimizer(config: DictConfig, steps: int, several: bool, **more: Any) -> tuple[Any, Any]:
    """What makes the optimizer of one field, or several, and its schedule or None; each has taken a step by then.

    The schedule must know a rate for all `steps` of the run.
    """
    optimizer, scheduler = build(config.optimizer, **more), build(config.scheduler)
    with as_user_error(_refused("optimizer", config)):
        tried = optimizer([torch.ones(2, requires_grad=True)])
        take_step(tried)
    if scheduler is not None:
        with as_user_error(_refused("scheduler", config)):
            schedule = scheduler(tried)
            take_step(tried)
            schedule.step()
            known = getattr(schedule, "total_steps", steps)  # of OneCycleLR, which raises an error beyond them
            if known < steps:
                raise ValueError(f"it ends after {known} of trainer.max_steps={steps} steps")
    tied = several and isinstance(tried, torch.optim.LBFGS)
    require(not tied, "L-BFGS takes one step for all fields, which ties them together; use optimizer=adam or adamw")
    return optimizer, scheduler


def _refused(name: str, config: DictConfig) -> str:
    node: Any = OmegaConf.to_container(config[name], resolve=True)
    values = ", ".join(f"{key}={brief(value)}" for key, value in node.items() if not str(key).startswith("_"))
    return f"{name} cannot be {node['_target_']}({values})"


@contextmanager
def logging_to(node: DictConfig | None, folder: Path) -> Iterator[Any]:
    """The logger that `node` describes, or None; closed as finished or, on any exception, as failed."""
    logger, status = build(node, folder=str(folder)), 1
    try:
        yield logger
        status = 0
    finally:
        if logger:
            logger.close(exit_code=status)


@contextmanager
def as_user_error(where: str) -> Iterator[None]:
    """Turn whatever constructors raise over their arguments into a `UserError` that says where."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, UserError):
            raise cause from error
        if _memory(cause):
            raise
        kind = "" if isinstance(cause, CompactHydraException | ValueError) else f"{type(cause).__name__}: "
        raise UserError(f"{where}: {kind}{' '.join(str(cause).split())[:500]}") from error


@contextmanager
def explain_no_memory() -> Iterator[None]:
    """Turn the end of memory, of the machine's or of an accelerator's, into a `UserError` that names what takes it."""
    try:
        yield
    except (CompactHydraException, MemoryError, RuntimeError) as error:
        cause = _cause(error)
        if not _memory(cause):
            raise
        reason = " ".join(str(cause).split()).partition(". ")[0][:200]
        raise UserError(
            f"out of memory ({reason}); chunk=1024 takes little at a time, half of data.batch_size, field.width or "
            "signal.size takes half or less"
        ) from error


def _cause(error: BaseException) -> BaseException:
    """What Hydra reports."""
    while isinstance(error, CompactHydraException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def complete(config: DictConfig) -> None:
    """Null for each choice that `~choice` took away or an older version's configuration lacks; what is left is checked.

    Raises:
        UserError: a choice or a value that a run needs is missing, or a value is of no use anywhere.
    """
    with as_user_error("the configuration"), flag_override(config, "struct", False):
        for name in (*NEEDED, "encoding", "activation", "scheduler", "logger", "callback", "chunk", "seed"):
            config.setdefault(name, None)
        if not isinstance(config.get("derived"), DictConfig):
            config.derived = dict.fromkeys(("dims", "channels", "samples"))
        normalise_config(config)
        OmegaConf.to_container(config, resolve=True)
    for name in NEEDED:
        require(config[name] is not None, f"a run needs {name}; leave it as it is, or choose from conf/{name}")


def anchor_paths(config: DictConfig, folder: Path, missing_here: bool = False) -> None:
    """Make absolute what names a file or a folder in `folder`, of signal, field and optimizer: for who has left it.

    With `missing_here` only what leads to nothing from the current folder.
    """
    for part in ("signal", "field", "optimizer"):  # its files, field.init, and whose rates are taken
        for node, key, _ in _entries(config.get(part)):
            value = None if OmegaConf.is_missing(node, key) else node[key]
            if isinstance(value, str) and value and os.path.exists(there := os.path.join(folder, value)):
                node[key] = value if missing_here and os.path.exists(value) else there


def normalise_config(config: DictConfig) -> None:
    """Read the word none as null, and refuse NaN, infinity and what is still missing, anywhere in the configuration."""
    for node, key, name in _entries(config):
        require(not OmegaConf.is_missing(node, key), f"{name} has no default; add {name}=… to the command")
        value = node[key]
        if value == "none":
            node[key] = None
        elif isinstance(value, float):
            require(math.isfinite(value), f"{name} must be a finite number, not {value}")


def _entries(node: Any, above: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Every value in nested tables and lists but interpolations: what holds it, its key there, its whole name."""
    if isinstance(node, DictConfig | ListConfig):
        for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
            if OmegaConf.is_interpolation(node, key):
                continue
            if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig | ListConfig):
                yield from _entries(node[key], f"{above}{key}.")
            else:
                yield node, key, f"{above}{key}"
