"""An optimizer and its schedule go on from a checkpoint as if nothing had been; what does not fit is refused."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules
from torch.utils import _pytree as pytree

from sinefield.training.optimizer_state import restore_optimizer, take_step

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


class Estimating(torch.optim.SGD):
    """Estimates something in its settings that no argument sets, as optimizers without a rate do."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr)
        self.defaults["d"] = self.param_groups[0]["d"] = 1e-6

    def step(self, closure: Any = None) -> Any:
        """Go on, and estimate."""
        self.param_groups[0]["d"] *= 1.5
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
        take_step(its)
        if scheduler is not None:
            scheduler.step()
    buffer = io.BytesIO()
    torch.save((its.state_dict(), [] if scheduler is None else [scheduler.state_dict()]), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def restored(optimizer: Any, schedule: Any, steps: int, state: dict[str, Any]) -> tuple[Any, Any]:
    """Fresh ones, brought to the state of those many steps; the parameters are not."""
    its, scheduler = made(optimizer, schedule)
    restore_optimizer(its, scheduler, made(optimizer, None)[0], steps, state)
    return its, scheduler


def assert_equal(found: Any, wanted: Any) -> None:
    found, wanted = pytree.tree_flatten(found), pytree.tree_flatten(wanted)
    assert found[1] == wanted[1]
    for a, b in zip(found[0], wanted[0], strict=True):
        assert type(a) is type(b)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("name", [*MAKERS, "counting", "estimating"])
@pytest.mark.parametrize("steps", [1, 4])
def test_an_optimizer_goes_on_from_its_state(name, steps) -> None:
    own = {"counting": partial(Counting, lr=0.01), "estimating": partial(Estimating, lr=0.01)}
    optimizer = own.get(name) or MAKERS[name]
    state, _ = saved(optimizer, SCHEDULES["cosine"], steps)
    assert_equal(restored(optimizer, SCHEDULES["cosine"], steps, state)[0].state_dict(), state)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 5])
def test_a_schedule_is_where_so_many_steps_leave_it(name, steps) -> None:
    adam = MAKERS["Adam"]
    state, schedule = saved(adam, SCHEDULES[name], steps)
    found, scheduler = restored(adam, SCHEDULES[name], steps, state)
    assert_equal(found.state_dict(), state)
    if scheduler is not None:
        assert_equal(scheduler.state_dict(), schedule[0])


def replaced(state: Any, place: tuple[Any, ...], value: Any) -> Any:
    for key in place[:-1]:
        state = state[key]
    state[place[-1]] = value


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", None), ("lr", 0.5), ("betas", (2.0, 0.9)), ("eps", "x"), ("fused", None), ("initial_lr", 1e30),
     ("params", [1, 0]), ("capturable", True)],
)  # fmt: skip
def test_settings_are_the_configuration_s(name, value) -> None:
    adam = MAKERS["fused"]
    state, _ = saved(adam, SCHEDULES["cosine"], 4)
    wanted, _ = saved(adam, SCHEDULES["cosine"], 4)
    replaced(state, ("param_groups", 0, name), value)
    assert_equal(restored(adam, SCHEDULES["cosine"], 4, state)[0].state_dict(), wanted)


DAMAGE = {  # place in the state, what stands there, what is said
    "group gone": (("param_groups",), [], "zip() argument 2 is shorter"),
    "a text": (("param_groups", 0, "more"), "x", "more of its optimizer is 'x'"),
    "a matrix": (("param_groups", 0, "more"), torch.zeros(2), "more of its optimizer is tensor"),
    "infinite": (("param_groups", 0, "more"), float("inf"), "more of its optimizer is not finite"),
    "moment false": (("state", 0, "exp_avg"), False, "incompatible function arguments"),
    "moment a number": (("state", 0, "exp_avg"), torch.zeros(()), "exp_avg of its optimizer has shape () "),
    "moment infinite": (("state", 1, "exp_avg_sq"), torch.full((3,), torch.inf), "exp_avg_sq of its optimizer"),
    "moment huge": (("state", 1, "more"), torch.zeros(1).expand(10**10), "more of its optimizer has shape (1000"),
    "count nan": (("state", 1, "step"), float("nan"), "step of its optimizer is not finite"),
    "count": (("state", 1, "step"), torch.zeros(3), "step of its optimizer has shape (3,) instead of [()]"),
    "moment gone": (("state", 0), {"step": torch.tensor(4.0)}, "exp_avg"),
    "one too many": (("state", 2), {"step": torch.tensor(4.0)}, "its optimizer has a state of parameter 2"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "value", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_state_that_does_not_fit_is_refused(place, value, said) -> None:
    adam = MAKERS["fused"]
    state, _ = saved(adam, SCHEDULES["cosine"], 4)
    replaced(state, place, value)
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        restored(adam, SCHEDULES["cosine"], 4, state)
    assert said in str(caught.value)


def test_a_damaged_line_search_is_refused() -> None:
    """L-BFGS looks at its memory only on a slope."""
    lbfgs = MAKERS["strong_wolfe"]
    state, _ = saved(lbfgs, None, 2)
    state["state"][0]["prev_flat_grad"] = None
    with pytest.raises(TypeError):
        restored(lbfgs, None, 2, state)
