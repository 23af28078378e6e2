"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner, for matrices; Adam for all else.

    L <- b L + (1 - b) G G^T      R <- b R + (1 - b) G^T G      G' = Q_L^T G Q_R      W <- W + Q_L A(G') Q_R^T

Q_L and Q_R are the eigenvectors of L and R and A(G') is Adam's step, whose moments live in that basis, b its second
beta. The first step only measures L and R, whose eigenvectors are then exact. Every `every` steps they are refreshed by
one power iteration, Q <- qr(L Q), with columns and second moments in the order of falling eigenvalues, and the first
moments are turned into the new basis. Source: Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, arXiv
2409.11321, algorithms 3 and 4. Without weight decay; a side longer than `largest` is not turned, as there.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from sinefield.errors import integer, positive, require

ROWS, COLUMNS = "rows", "columns"


class Soap(Adam):
    """Adam, for matrices in the eigenbasis of the covariance of their gradients.

    Where no parameter is a vector, the parameters are those of a stack, with K in front, and each of the K matrices has
    bases of its own.

    Args:
        params: of a field.
        lr: the rate; about that of Adam, or less.
        betas: Adam's; the second is L's and R's memory too.
        every: steps between two refreshments of the bases.
        largest: the longest side that is turned; a basis of n has n^2 numbers and costs n^3.
        fused: Adam's steps in one kernel.

    Raises:
        UserError: a rate that is not positive; fewer than one step or side; a first gradient that is not finite.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        every: int = 10,
        largest: int = 2048,
        fused: bool | None = None,
    ) -> None:
        params = list(params)
        axes = 2 + (min(p.dim() for p in params) > 1)
        self.matrices = [p for p in params if p.dim() == axes]
        self.every = integer("optimizer.every", every, least=1)
        self.largest = integer("optimizer.largest", largest, least=1)
        super().__init__(params, lr=positive("optimizer.lr", lr), betas=betas, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the loss that `closure` returns, if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = {p: p.grad for p in self.matrices if p.grad is not None}
        fresh = {p for p in gradients if not self.state[p]}
        before = {p: p.clone() for p in gradients}
        for p, gradient in gradients.items():
            p.zero_()  # where Adam leaves its step
            p.grad = torch.zeros_like(gradient) if p in fresh else self._turn(p, gradient)
        try:
            super().step()
        finally:
            for p, gradient in gradients.items():
                p.copy_(before[p] + self._turn(p, p, back=True))
                p.grad = gradient
        for p, gradient in gradients.items():
            if p in fresh:
                self._begin(p, gradient)
            else:
                self._follow(p, gradient)
        return loss

    def _sides(self, p: Tensor) -> list[str]:
        """Which sides of a matrix are turned; one of length 1 has no directions."""
        return [side for side, n in zip((ROWS, COLUMNS), p.shape[-2:], strict=True) if 1 < n <= self.largest]

    def _turn(self, p: Tensor, x: Tensor, back: bool = False) -> Tensor:
        """``Q_L^T x Q_R``, or ``Q_L x Q_R^T`` back, as far as p has bases."""
        state = self.state[p]
        left, right = (state.get(f"{side}_basis") for side in (ROWS, COLUMNS))
        if left is not None:
            x = (left if back else left.mT) @ x
        return x if right is None else x @ (right.mT if back else right)

    def _begin(self, p: Tensor, gradient: Tensor) -> None:
        """L and R of the first gradient, and their eigenvectors, largest first; Adam starts with the next one."""
        finite = bool(gradient.isfinite().all())
        require(finite, "the first gradient is not finite; optimizer=soap needs other weights: activation.scale=1")
        state = self.state[p]
        state["step"].zero_()
        state["age"] = 0
        for side in self._sides(p):
            state[f"{side}_factor"] = _covariance(gradient, side)
            state[f"{side}_basis"] = torch.linalg.eigh(state[f"{side}_factor"]).eigenvectors.flip(-1).contiguous()

    def _follow(self, p: Tensor, gradient: Tensor) -> None:
        """L and R after a further gradient, and every now and then their eigenvectors."""
        state = self.state[p]
        state["age"] += 1
        beta = self.param_groups[0]["betas"][1]
        for side in self._sides(p):
            state[f"{side}_factor"].lerp_(_covariance(gradient, side), 1 - beta)
        if state["age"] % self.every:
            return
        mean = self._turn(p, state["exp_avg"], back=True)
        for side in self._sides(p):
            q, factor = state[f"{side}_basis"], state[f"{side}_factor"]
            image = factor @ q
            order = (q * image).sum(-2).argsort(dim=-1, descending=True)  # by q^T L q, the present eigenvalues
            state[f"{side}_basis"] = torch.linalg.qr(image.take_along_dim(order.unsqueeze(-2), -1)).Q
            axis, other = (-2, -1) if side == ROWS else (-1, -2)
            state["exp_avg_sq"].copy_(state["exp_avg_sq"].take_along_dim(order.unsqueeze(other), axis))
        state["exp_avg"].copy_(self._turn(p, mean))


def _covariance(gradient: Tensor, side: str) -> Tensor:
    """``G G^T`` for the rows, ``G^T G`` for the columns."""
    return gradient @ gradient.mT if side == ROWS else gradient.mT @ gradient
