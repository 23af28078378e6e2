"""An optimizer and its schedule, brought to where a checkpoint stands."""

import inspect
import warnings
from copy import deepcopy
from reprlib import repr as brief
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils._pytree import tree_leaves


def take_step(optimizer: Optimizer) -> None:
    """Take a step down the bowl ∑ c_i p_i², 1 ≤ c_i ≤ 2; raises whatever torch does, which finds much only then."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def bowl() -> float:
        optimizer.zero_grad()
        flat = torch.cat([p.flatten() for p in parameters])
        height = flat.square() @ torch.linspace(1, 2, len(flat), dtype=flat.dtype, device=flat.device)
        height.backward()
        return height.item()

    with torch.enable_grad():
        optimizer.step(bowl)


def restore_optimizer(
    optimizer: Optimizer, scheduler: LRScheduler | None, trial: Optimizer, steps: int, state: dict[str, Any]
) -> None:
    """Bring an optimizer and its schedule, before their first step, to where a checkpoint stands.

    The configuration and the number of steps determine the schedule and the optimizer's settings: they are not taken
    from the checkpoint. What the optimizer has accumulated is, once it is known to be finite, of the shapes that a step
    makes, since fused kernels do not look, and enough for a further step.

    Args:
        trial: another one like `optimizer`, over copies of the parameters, which are spoilt.
        steps: that were taken.
        state: the optimizer's `state_dict()` after them.

    Raises:
        ValueError: the state does not fit; or whatever else torch raises over it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")  # the steps were taken before
        for _ in range(steps if scheduler is not None else 0):
            scheduler.step()  # type: ignore[union-attr]
    groups = [
        own | {name: saved[name] for name in _counters(optimizer, own, saved)}
        for own, saved in zip(optimizer.state_dict()["param_groups"], state["param_groups"], strict=True)
    ]
    take_step(trial)
    known = trial.state_dict()["state"]
    total = sum(p.numel() for group in trial.param_groups for p in group["params"])
    for key, values in state["state"].items():
        if key not in known:
            raise ValueError(f"its optimizer has a state of parameter {key}, and there is none")
        for name, value in values.items():
            shapes = {part.shape for part in tree_leaves(known[key].get(name)) if isinstance(part, Tensor)}
            _check(f"{name} of its optimizer", value, shapes or {torch.Size(()), torch.Size((total,))})
    trial.load_state_dict(deepcopy({"state": state["state"], "param_groups": groups}))
    take_step(trial)
    optimizer.load_state_dict({"state": state["state"], "param_groups": groups})


def _counters(optimizer: Optimizer, own: dict[str, Any], saved: dict[str, Any]) -> list[str]:
    """The settings of a group that the optimizer itself changes: no argument of its constructor, and no schedule's."""
    arguments = inspect.signature(type(optimizer)).parameters
    names = [name for name in saved if name not in own or (name in optimizer.defaults and name not in arguments)]
    for name in names:
        if not isinstance(saved[name], type(own.get(name, 0.0)) | int | float):
            raise ValueError(f"{name} of its optimizer is {brief(saved[name])}")
        _check(f"{name} of its optimizer", saved[name], set())
    return names


def _check(what: str, value: Any, shapes: set[torch.Size]) -> None:
    """ValueError where a value has numbers that are not finite, or none of these shapes."""
    for part in tree_leaves(value):
        if isinstance(part, Tensor) and part.shape not in shapes:
            raise ValueError(f"{what} has shape {tuple(part.shape)} instead of {brief([*map(tuple, shapes)])}")
        if isinstance(part, Tensor | float) and not torch.as_tensor(part).isfinite().all():
            raise ValueError(f"{what} is not finite")
