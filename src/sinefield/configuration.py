"""From config nodes to objects, with every mistake as one line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from reprlib import repr as brief
from typing import Any

import torch
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from sinefield.errors import UserError, require, whole
from sinefield.trial import descend

_AHEAD = 100_000  # steps of a schedule that are tried, half a second

# Knobs of Lightning's trainer that move or leave out evaluations, and their values that do not; 1 is not 1.0 here.
_EVALUATING: dict[str, tuple[Any, ...]] = {
    "check_val_every_n_epoch": (1,),
    "val_check_interval": (1.0, None),
    "fast_dev_run": (False, 0),
}


def know_times() -> None:
    """Have ${times:a,b} mean a b, in every configuration of this process; null where one of them is not known yet."""
    OmegaConf.register_new_resolver("times", _product, replace=True)


def _product(*factors: Any) -> Any:
    return None if None in factors else math.prod(factors)


know_times()


def build(node: Any, **more: Any) -> Any:
    """The object a config node describes, None for none; what its constructor finds wrong becomes one line."""
    described = node is None or (isinstance(node, DictConfig) and "_target_" in node)
    require(described, f"{node!r} stands where a choice belongs, with a _target_; take one of those in conf/")
    with mendable(str(node._get_full_key(None)) if node is not None else ""):
        return instantiate(node, _convert_="all", **more)


def build_optimizer(config: DictConfig, steps: int, several: bool) -> tuple[Any, Any]:
    """What makes the optimizer of one field, or several, and its schedule or None; tried before anything is written.

    Args:
        steps: of the run, all of which the schedule must know a rate for.
        several: whether it is of several fields.
    """
    optimizer, scheduler = build(config.optimizer), build(config.scheduler)
    with mendable(_told("optimizer", config)):
        tried = optimizer([torch.ones(2, requires_grad=True)])
        descend(tried)
    if scheduler is not None:
        with mendable(_told("scheduler", config)):
            schedule = scheduler(tried)
            descend(tried, 1)
            for _ in range(min(steps, _AHEAD)):
                schedule.step()
    apart = not (several and isinstance(tried, torch.optim.LBFGS))
    require(apart, "L-BFGS takes one step for all fields, which ties them together; use optimizer=adam or adamw")
    return optimizer, scheduler


def _told(name: str, config: DictConfig) -> str:
    """Which choice stands there, with what it is told."""
    told: Any = OmegaConf.to_container(config[name], resolve=True)
    values = ", ".join(f"{key}={brief(value)}" for key, value in told.items() if not str(key).startswith("_"))
    return f"{name} cannot be {told['_target_']}({values})"


@contextmanager
def mendable(where: str) -> Iterator[None]:
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
def within_memory() -> Iterator[None]:
    """Turn the end of memory, of the machine's or of an accelerator's, into a `UserError` that names what takes it."""
    try:
        yield
    except (CompactHydraException, MemoryError, RuntimeError) as error:
        cause = _cause(error)
        if not _memory(cause):
            raise
        said = " ".join(str(cause).split()).partition(". ")[0][:200]
        raise UserError(
            f"out of memory ({said}); chunk=1024 takes little at a time, half of data.batch_size, field.width or "
            "signal.size takes half or less"
        ) from error


def _cause(error: BaseException) -> BaseException:
    """What Hydra tells of."""
    while isinstance(error, CompactHydraException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def check_trainer(trainer: DictConfig) -> None:
    """Refuse what Lightning's trainer does not check of its knobs until it trips over them, or never.

    Raises:
        UserError: names the knob. One that moves evaluations is refused since scores and checkpoints would not be of
            the last step.
    """
    if not isinstance(trainer, DictConfig):
        return  # `build` says what belongs there
    for name, least in (("max_epochs", 1), ("log_every_n_steps", 0)):
        value = trainer.get(name)
        if value is not None and not (isinstance(value, int) and value == -1):  # Lightning takes no -1.0
            whole(f"trainer.{name}", value, least)
    for name, same in _EVALUATING.items():
        value = trainer.get(name, same[0])
        require(
            any(type(value) is type(known) and value == known for known in same),
            f"trainer.{name} must be {same[0]}, not {value}; data.eval_every says how many steps lie between two "
            "evaluations, and trainer.max_steps how many there are",
        )


def settle(node: DictConfig | ListConfig, path: str = "") -> None:
    """Read the word none as null, and refuse NaN, infinity and what is still missing, anywhere in the configuration."""
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    for key in keys:
        name = f"{path}{key}"
        require(not OmegaConf.is_missing(node, key), f"{name} has no default; add {name}=… to the command")
        if OmegaConf.is_interpolation(node, key):
            continue
        value = node[key]
        if isinstance(value, DictConfig | ListConfig):
            settle(value, f"{name}.")
        elif value == "none":
            node[key] = None
        elif isinstance(value, float):
            require(math.isfinite(value), f"{name} must be a finite number, not {value}")
