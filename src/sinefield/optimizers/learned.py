"""The first steps at rates that a learned start came with, and Adam's from there.

    theta_{k+1} = theta_k - r_k * grad L_k(theta_k),  k < K;      L_k: mean square over the points of step k, of values

Adam begins with moments of its own: those of the gradients of the first steps, which are larger, would slow it down.
Where the rates were learned for Adam's direction (`adam`), m_k / sqrt(v_k) stands for grad L_k, and Adam goes on with
these moments.
Source: Li et al., Meta-SGD, arXiv 1707.09835, for the first steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Adam

from sinefield.errors import integer, positive, require
from sinefield.optimizers.base import FieldOptimizer

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.training.data import Samples

_SECOND, _TINY = 0.99, 1e-8  # Adam's second beta, as conf/optimizer/adam has it, and what it adds to a root
Moments = tuple[Tensor, Tensor]  # m and v


def first_beta(taken: int, steps: int) -> float:
    """Adam's first beta: from 0.9 to 0.6 along a line over the steps, as `scheduler=falling` has it."""
    return 0.9 - 0.3 * min(1.0, taken / steps)


def direction(slope: Tensor, moments: Moments, taken: int, steps: int) -> tuple[Tensor, Moments]:
    """Adam's direction m / sqrt(v) by one more gradient, and the moments (m, v) with it.

    The first beta is `first_beta`; v is a constant to whoever differentiates the direction.

    Args:
        slope: the gradient.
        moments: before it, of its shape, 0 at the start.
        taken: steps before this one.
        steps: how many there will be; later ones have the last beta.
    """
    beta = first_beta(taken, steps)
    m = beta * moments[0] + (1 - beta) * slope
    v = _SECOND * moments[1] + (1 - _SECOND) * slope.detach().square()
    root = (v / (1 - _SECOND ** (taken + 1))).sqrt() + _TINY
    return m / (1 - beta ** (taken + 1)) / root, (m, v)


class Learned(Adam, FieldOptimizer):
    """Steps at learned rates, then Adam.

    Args:
        params: of a field.
        rates: r by the names of the field's parameters, (K, ...) each.
        inner: steps at these rates, those beyond K with the rates of the last one; None for K.
        lr, betas, fused: of Adam.
        adam: whether the rates are for Adam's direction.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        rates: Mapping[str, Tensor] | None = None,
        inner: int | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        fused: bool | None = None,
        adam: bool = False,
    ) -> None:
        require(rates is not None, "optimizer=learned needs a run that learned rates; give field.init=<its folder>")
        self.rates, self.adam = dict(rates or {}), adam
        steps = len(next(iter(self.rates.values()))) if inner is None else inner
        self.inner = integer("optimizer.inner", steps, least=0)
        super().__init__(params, lr=positive("optimizer.lr", lr), betas=betas, fused=fused)

    @property
    def taken(self) -> int:
        """Steps so far."""
        return int(self.param_groups[0].get("taken", 0))

    def check(self, field: CoordinateMLP, loss: Loss, processes: int) -> None:
        """It is for one field with parameters as the rates are for, a loss of values, and one process."""
        require(not field.stack and processes == 1, "optimizer=learned is for one field in one process; take adam")
        require("value" in loss.terms, "optimizer=learned begins with steps on values, and this loss has no such term")
        own = {name: parameter.shape for name, parameter in field.named_parameters()}
        for name, rate in self.rates.items():
            there, here = tuple(rate.shape[1:]), tuple(own.get(name, ()))
            require(there == here, f"optimizer.rates are for {name} of shape {there}, and the field has {here}")

    def solve(self, field: CoordinateMLP, loss: Loss, batch: Sequence[Samples], weights: Mapping[str, Tensor]) -> None:
        """A step at the learned rates, of the first ones."""
        if self.taken >= self.inner:
            return
        own = [k for k, group in enumerate(loss.groups) if "value" in group.terms]
        samples = [batch[k] for k in range(len(batch)) if k % len(loss.groups) in own]
        x, values = (torch.cat(parts) for parts in zip(*((each.x, each.known.value) for each in samples), strict=True))
        parameters = dict(field.named_parameters())
        with torch.enable_grad():
            error = (field.jet(x, 0).value - values).square().mean()
            slopes = torch.autograd.grad(error, [parameters[name] for name in self.rates])
        self._begin()
        with torch.no_grad():
            for (name, rate), slope in zip(self.rates.items(), slopes, strict=True):
                p = parameters[name]
                way = self._direction(p, slope, len(rate)) if self.adam else slope
                p.sub_(rate[min(self.taken, len(rate) - 1)].to(slope) * way)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Adam's step, once the first ones are taken; the loss that `closure` returns, if it is given."""
        first = self.taken < self.inner
        self.param_groups[0]["taken"] = self.taken + 1  # not there before the first step, so that a checkpoint has it
        if not first:
            return super().step(closure)
        self._begin()
        with torch.enable_grad():
            return None if closure is None else closure()

    def _begin(self) -> None:
        """Adam's state as it is before the first step, from the beginning, so that any checkpoint may have one."""
        for p in self.param_groups[0]["params"]:
            if not self.state[p]:
                step = torch.zeros((), dtype=torch.float32, device=p.device)
                self.state[p] = {"step": step, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}

    def _direction(self, p: Tensor, slope: Tensor, steps: int) -> Tensor:
        """Adam's, which leaves the state as Adam's own step does."""
        state = self.state[p]
        state["step"] += 1
        way, moments = direction(slope, (state["exp_avg"], state["exp_avg_sq"]), self.taken, steps)
        state |= zip(("exp_avg", "exp_avg_sq"), moments, strict=True)
        return way
