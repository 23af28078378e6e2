"""The best head by least squares, for losses whose residuals are affine in the field; the rest by another optimizer.

    w = argmin_w sum_t weight_t E|r_t(sum_j w_j h_j)|^2 / M_t

h_j are the field's last hidden features, or the encoding's where field.depth=-1, and 1. With `hidden` the gradient that
trains the layers in front is taken at the best head: by the envelope theorem it is that of the reduced loss
min_w loss(w, hidden). Source: Golub & Pereyra, The Differentiation of Pseudo-Inverses and Nonlinear Least Squares
Problems Whose Variables Separate, SIAM J. Numer. Anal. 10 (1973).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from sinefield.errors import integer, positive, require
from sinefield.optimizers import linear
from sinefield.optimizers.base import FieldOptimizer

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.training.data import Samples

log = logging.getLogger(__name__)

_SPOILT = 0.1  # of the solved loss: what the parameters' precision may add to it without a warning,
_NOTHING = 1e-10  # and this part of the loss of a head of zeros


class Head(FieldOptimizer):
    """Solves for the last two parameters, weight and bias of the head, in float64; `hidden` steps all others.

    Args:
        params: of a field.
        hidden: makes the optimizer of all other parameters; None: they stay as they are.
        every: steps from one solve to the next.
        ridge: relative to the diagonal of the normal equations; for features that nearly depend on others.

    Raises:
        UserError: a knob that is none.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        hidden: Callable[[Iterable[Tensor]], Optimizer] | None = None,
        every: int = 1,
        ridge: float = 1e-13,
    ) -> None:
        params = list(params)
        require(hidden is None or callable(hidden), f"optimizer.hidden must make an optimizer, not be {hidden!r}")
        self.every, self.ridge = integer("optimizer.every", every, least=1), positive("optimizer.ridge", ridge)
        others = params[:-2]
        self.inner = None if hidden is None else hidden(others or [torch.zeros(1, requires_grad=True)])
        self.gradients, self.warned = hidden is not None, False
        groups = [] if self.inner is None or not others else self.inner.param_groups
        super().__init__([{"params": params[-2:]}], {} if self.inner is None else self.inner.defaults)
        self.param_groups = [*groups, *self.param_groups]
        self._share()

    def _share(self) -> None:
        """The inner optimizer keeps its state in this one's, and its settings there."""
        if self.inner is not None:
            self.inner.state, self.inner.param_groups = self.state, self.param_groups[:-1]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of this optimizer, the inner one included."""
        super().load_state_dict(state_dict)
        self._share()

    def check(self, field: CoordinateMLP, loss: Loss, processes: int) -> None:
        """One process, one field with a head, and a loss of squares that are affine in the field."""
        require(processes == 1, "optimizer=head solves in one process; use trainer=default")
        kind = type(field).__name__
        require(hasattr(field, "features"), f"optimizer=head needs a field with a head, which {kind} lacks; field=mlp")
        require(not field.stack, "optimizer=head solves for one field, and here are several; fit one signal at a time")
        for name, term in loss.terms.items():
            require(
                term.affine,
                f"optimizer=head needs squares of what is affine in the field, and loss.terms.{name} "
                f"({type(term).__name__}) is not; leave it out, ~loss.terms.{name}, or use optimizer=adam",
            )

    @torch.no_grad()
    def solve(self, field: CoordinateMLP, loss: Loss, batch: Sequence[Samples], weights: Mapping[str, Tensor]) -> None:
        """Give the head the best weights for the points of a step, where the step's turn has come."""
        if self._count % self.every:
            return
        exact = field if field.head.weight.dtype == torch.float64 else copy.deepcopy(field).double()
        layout, normal = linear.equations(exact, loss, batch, weights)
        w = normal.solution(self.ridge)
        head = layout.head(w)
        field.head.weight.copy_(head[:, :-1])
        field.head.bias.copy_(head[:, -1])
        stored = torch.cat([field.head.weight, field.head.bias.unsqueeze(1)], dim=1)
        best = normal.loss(w).item()
        added = normal.quadratic(layout.unknowns(stored.double()) - w).item()  # w is where the gradient is 0
        if added > _SPOILT * best + _NOTHING * normal.square.sum().item() and not self.warned:
            said = "the head's weights, rounded to the field's precision, raise the loss from %.2g to %.2g; %s"
            log.warning(said, best, best + added, "trainer.precision=64-true keeps it")
            self.warned = True

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Count, ask for the loss, and step the hidden layers where there is an optimizer for them."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.inner is not None and self.inner.param_groups:
            self.inner.step()
        counter = self.param_groups[-1]["params"][0]
        self.state[counter]["step"] = self.state[counter].get("step", torch.zeros(())) + 1
        return loss

    @property
    def _count(self) -> int:
        """Steps that were taken."""
        state = self.state.get(self.param_groups[-1]["params"][0], {})
        return int(state.get("step", 0))
