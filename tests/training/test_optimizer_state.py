"""What an optimizer and a schedule come to is taken; anything else is refused by a line that names the entry."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

from sinefield.training.optimizer_state import check_optimizer_state, take_steps

NEEDS = {"SparseAdam", "Muon", "Adafactor"}  # sparse gradients or matrices: no network of this project's has them alone
OPTIMIZERS = sorted(
    name
    for name, its in vars(torch.optim).items()
    if isinstance(its, type) and its is not torch.optim.Optimizer and name not in NEEDS
)
MAKERS = {name: partial(getattr(torch.optim, name), lr=0.01) for name in OPTIMIZERS} | {
    "fused": partial(torch.optim.Adam, fused=True),
    "amsgrad": partial(torch.optim.AdamW, amsgrad=True),
    "momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "strong_wolfe": partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"),
    "one iteration": partial(torch.optim.LBFGS, max_iter=1),
}


class Counting(torch.optim.SGD):
    """Keeps a count among its settings, as some optimizers do."""

    def step(self, closure: Any = None) -> Any:
        """Count, and go on."""
        self.param_groups[0]["count"] = self.param_groups[0].get("count", 0) + 1
        return super().step(closure)


SCHEDULES = {
    "constant": None,
    "cosine": partial(schedules.CosineAnnealingLR, T_max=5),
    "one cycle": partial(schedules.OneCycleLR, max_lr=0.1, total_steps=5),  # changes the betas as well
    "restarts": partial(schedules.CosineAnnealingWarmRestarts, T_0=2, T_mult=2),
    "stairs": partial(schedules.MultiStepLR, milestones=[1, 3]),
    "several": lambda optimizer: schedules.SequentialLR(
        optimizer, [schedules.LinearLR(optimizer), schedules.ExponentialLR(optimizer, 0.9)], [2]
    ),
}


def made(optimizer: Any, schedule: Any) -> tuple[Any, Any]:
    """Fresh ones, over parameters of two shapes."""
    torch.manual_seed(0)
    its = optimizer([nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3))])
    return its, schedule and schedule(its)


def saved(optimizer: Any, schedule: Any, steps: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a checkpoint holds of them after some steps."""
    its, scheduler = made(optimizer, schedule)
    for _ in range(steps):
        take_steps(its, 1)
        if scheduler is not None:
            scheduler.step()
    buffer = io.BytesIO()
    torch.save((its.state_dict(), [] if scheduler is None else [scheduler.state_dict()]), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("name", [*MAKERS, "counting"])
@pytest.mark.parametrize("steps", [1, 4])
def test_what_an_optimizer_comes_to_is_taken(name, steps) -> None:
    optimizer = MAKERS.get(name) or partial(Counting, lr=0.01)
    check_optimizer_state(*made(optimizer, SCHEDULES["cosine"]), steps, *saved(optimizer, SCHEDULES["cosine"], steps))


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_a_schedule_comes_to_is_taken_and_a_step_more_or_less_is_not(name) -> None:
    adam = MAKERS["Adam"]
    state = saved(adam, SCHEDULES[name], 5)
    check_optimizer_state(*made(adam, SCHEDULES[name]), 5, *state)
    if name != "constant":
        with pytest.raises(ValueError, match=r" of its schedule is .* instead of "):
            check_optimizer_state(*made(adam, SCHEDULES[name]), 4, *state)


DAMAGE = {  # place in (state, schedules), what stands there, what is said
    "T_max null": ((1, 0, "T_max"), None, "T_max of its schedule is None instead of 5"),
    "T_max zero": ((1, 0, "T_max"), 0, "T_max of its schedule is 0 instead of 5"),
    "T_max other": ((1, 0, "T_max"), 6, "T_max of its schedule is 6 instead of 5"),
    "T_max nearly zero": ((1, 0, "T_max"), 1e-300, "T_max of its schedule is 1e-300 instead of 5"),
    "eta_min": ((1, 0, "eta_min"), None, "eta_min of its schedule is None instead of 0.0"),
    "base_lrs": ((1, 0, "base_lrs", 0), None, "base_lrs of its schedule is None instead of 0.001"),
    "no base_lrs": ((1, 0, "base_lrs"), [], "base_lrs of its schedule is [] instead of [0.001]"),
    "last_epoch": ((1, 0, "last_epoch"), None, "last_epoch of its schedule is None instead of 4"),
    "_step_count": ((1, 0, "_step_count"), True, "_step_count of its schedule is True instead of 5"),
    "one more": ((1, 0, "step"), 3, "its schedule has too much or too little: step"),
    "no schedule": ((1,), [], "its schedule is [] instead of [{"),
    "lr null": ((0, "param_groups", 0, "lr"), None, "lr of its optimizer is None instead of 9.549"),
    "lr": ((0, "param_groups", 0, "lr"), 0.5, "lr of its optimizer is 0.5 instead of 9.549"),
    "betas": ((0, "param_groups", 0, "betas"), (0.9, 0.99), "betas of its optimizer is 0.99 instead of 0.999"),
    "eps": ((0, "param_groups", 0, "eps"), "x", "eps of its optimizer is 'x' instead of 1e-08"),
    "order": ((0, "param_groups", 0, "params"), [1, 0], "the order of its optimizer's parameters is 1 instead of 0"),
    "moment false": ((0, "state", 0, "exp_avg"), False, "incompatible function arguments"),
    "moment a number": ((0, "state", 0, "exp_avg"), torch.zeros(()), "exp_avg of its optimizer has shape () "),
    "moment infinite": ((0, "state", 1, "exp_avg_sq"), torch.full((3,), torch.inf), "exp_avg_sq of its optimizer"),
    "moment huge": ((0, "state", 1, "more"), torch.zeros(1).expand(10**10), "more of its optimizer has shape (1000"),
    "count nan": ((0, "state", 1, "step"), float("nan"), "step of its optimizer is not finite"),
    "count": ((0, "state", 1, "step"), torch.zeros(3), "step of its optimizer has shape (3,) instead of [()]"),
    "moment gone": ((0, "state", 0), {"step": torch.tensor(4.0)}, "exp_avg"),
    "one too many": ((0, "state", 2), {"step": torch.tensor(4.0)}, "its optimizer remembers something of parameter 2"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "value", "said"), DAMAGE.values(), ids=DAMAGE)
def test_anything_else_is_refused(place, value, said) -> None:
    adam = MAKERS["fused"]
    found: Any = list(saved(adam, SCHEDULES["cosine"], 4))
    its = found
    for key in place[:-1]:
        its = its[key]
    its[place[-1]] = value
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        check_optimizer_state(*made(adam, SCHEDULES["cosine"]), 4, *found)
    assert said in str(caught.value)


def test_a_damaged_line_search_is_refused() -> None:
    """L-BFGS looks at its memory only on a slope."""
    lbfgs = MAKERS["strong_wolfe"]
    state, nothing = saved(lbfgs, None, 2)
    state["state"][0]["prev_flat_grad"] = None
    with pytest.raises(TypeError):
        check_optimizer_state(*made(lbfgs, None), 2, state, nothing)
