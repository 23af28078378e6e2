"""Optimizers and schedules tried on parameters that may be spoilt: torch finds much that is amiss only in a step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from reprlib import repr as brief
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def take_steps(optimizer: Optimizer, steps: int = 3) -> None:
    """Take steps down the bowl ∑ c_i p_i², 1 ≤ c_i ≤ 2; raises whatever torch does.

    Three are enough for what begins with the second, such as the memory of L-BFGS.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def bowl() -> float:
        optimizer.zero_grad()
        flat = torch.cat([p.flatten() for p in parameters])
        height = flat.square() @ torch.linspace(1, 2, len(flat), dtype=flat.dtype, device=flat.device)
        height.backward()
        return height.item()

    with torch.enable_grad():
        for _ in range(steps):
            optimizer.step(bowl)


def check_optimizer_state(
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    steps: int,
    state: dict[str, Any],
    schedules: list[dict[str, Any]],
) -> None:
    """See whether a saved state is one that this optimizer and its schedule come to in so many steps.

    A schedule, and what it sets of its optimizer, follow from the configuration and the number of steps: they are made
    again, and must be equal. What the optimizer remembers must be finite, of the shapes that its own steps make, since
    fused kernels do not look, and enough for a further step.

    Args:
        optimizer: before its first step, over parameters that may be spoilt.
        scheduler: before its first step, of the optimizer; None for a constant rate.
        steps: that were taken.
        state: the optimizer's `state_dict()` after them.
        schedules: the scheduler's, [] for none.

    Raises:
        ValueError: it is not; or whatever else torch raises over it.
    """
    own = _descended(optimizer)
    known = deepcopy(optimizer.state_dict())
    _scheduled(scheduler, steps)
    same("its schedule", schedules, [] if scheduler is None else [scheduler.state_dict()])
    wanted = _settings(optimizer)
    places = [[group["params"] for group in its["param_groups"]] for its in (state, known)]
    same("the order of its optimizer's parameters", *places)
    every = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    for key, values in state["state"].items():
        if key not in known["state"]:
            raise ValueError(f"its optimizer remembers something of parameter {key}, and there is none")
        for name, value in values.items():
            shapes = {part.shape for part in _leaves(known["state"][key].get(name)) if isinstance(part, Tensor)}
            _sound(f"{name} of its optimizer", value, shapes or {torch.Size(()), torch.Size((every,))})
    optimizer.load_state_dict(deepcopy(state))
    for found, expected, counted in zip(_settings(optimizer), wanted, own, strict=True):
        same("its optimizer", *({k: v for k, v in group.items() if k not in counted} for group in (found, expected)))
    take_steps(optimizer, 1)


def renew(
    optimizer: Optimizer, scheduler: LRScheduler | None, steps: int, state: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A saved state as another schedule would have left it, with what the optimizer remembers as it is.

    Args:
        optimizer: before its first step.
        scheduler: the other one, before its first step, of the optimizer; None for a constant rate.
        steps: that were taken.
        state: the optimizer's `state_dict()` after them.

    Returns:
        The optimizer's and the schedules' states, as `examine` takes them.
    """
    own = _descended(optimizer)
    _scheduled(scheduler, steps)
    groups = [
        saved | {name: value for name, value in now.items() if name not in counted}
        for saved, now, counted in zip(state["param_groups"], _settings(optimizer), own, strict=True)
    ]
    return {**state, "param_groups": groups}, [] if scheduler is None else [scheduler.state_dict()]


def _descended(optimizer: Optimizer) -> list[set[str]]:
    """Take some steps; the settings of every group that they changed: some optimizers count there."""
    begun = _settings(optimizer)
    take_steps(optimizer)
    return [
        {k for k, v in now.items() if v != old.get(k)} for now, old in zip(_settings(optimizer), begun, strict=True)
    ]


def _scheduled(scheduler: LRScheduler | None, steps: int) -> None:
    for _ in range(steps if scheduler is not None else 0):
        scheduler.step()  # type: ignore[union-attr]


def same(what: str, found: Any, wanted: Any) -> None:
    """ValueError where two nested values differ, in numbers by more than another machine rounds."""
    alike = type(found) is type(wanted)
    if alike and isinstance(wanted, dict):
        odd = found.keys() ^ wanted.keys()
        if odd:
            raise ValueError(f"{what} has too much or too little: {', '.join(sorted(map(str, odd)))}")
        for key in wanted:
            same(f"{key} of {what}", found[key], wanted[key])
    elif alike and isinstance(wanted, list | tuple) and len(found) == len(wanted):
        for pair in zip(found, wanted, strict=True):
            same(what, *pair)
    elif alike and isinstance(wanted, float):
        alike = math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-12)
    elif alike:
        alike = bool(found == wanted)
    if not alike:
        raise ValueError(f"{what} is {brief(found)} instead of {brief(wanted)}")


def _sound(what: str, value: Any, shapes: set[torch.Size]) -> None:
    """ValueError where a value has numbers that are not finite, or none of these shapes."""
    for part in _leaves(value):
        if isinstance(part, Tensor) and part.shape not in shapes:
            raise ValueError(f"{what} has shape {tuple(part.shape)} instead of {brief([*map(tuple, shapes)])}")
        if isinstance(part, Tensor | float) and not torch.as_tensor(part).isfinite().all():
            raise ValueError(f"{what} is not finite")


def _leaves(value: Any) -> Iterator[Any]:
    """What nested tables and lists hold."""
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def _settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    """A copy of what every group of parameters is told."""
    return [
        {name: deepcopy(value) for name, value in group.items() if name != "params"} for group in optimizer.param_groups
    ]
