"""Muon: momentum whose step has all singular values near 1, for the hidden matrices; Adam for all else.

    M <- b M + (1 - b) G      U = (1 - b) G + b M      W <- W - rate sqrt(max(1, rows / columns)) O(U)

O(U) is near the orthogonal factor of U: five steps of X <- a X + (b' A + c A^2) X, A = X X^T, from X = U / |U|_F, with
(a, b', c) = (3.4445, -4.775, 2.0315). Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks,
2024, kellerjordan.github.io/posts/muon. For coordinate networks: McGinnis et al., Optimizing Rank for High-Fidelity
Implicit Neural Representations, arXiv 2512.14366: first and last matrix and biases by Adam, cosine schedule, no weight
decay. Different here: O(U) is computed in the precision of the weights, there in bfloat16.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from sinefield.errors import positive, require

COEFFICIENTS = (3.4445, -4.775, 2.0315)
_MATRIX, _CONVOLUTION = 2, 4  # axes


class Muon(Adam):
    """Muon on the hidden matrices, Adam on the rest, in two groups of parameters, which a schedule scales alike.

    Hidden are all matrices but the first and the last, in the order of `params`, and all convolutions (out, in, h, w)
    of several channels, as matrices (out, in h w). Where no parameter is a vector, they are those of a stack, with K
    in front, and each of the K is stepped by itself.

    Args:
        params: of a field.
        lr: Adam's rate, for the first and the last layer and the biases.
        hidden_lr: Muon's, for the hidden matrices.
        momentum: b.
        betas: Adam's.
        fused: Adam's steps in one kernel.

    Raises:
        UserError: a rate that is not positive, or a momentum outside of [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        hidden_lr: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        fused: bool | None = None,
    ) -> None:
        params = list(params)
        axes = _MATRIX + (min(p.dim() for p in params) > 1)
        hidden = [p for p in params if p.dim() == axes][1:-1]
        hidden += [p for p in params if p.dim() == _CONVOLUTION and axes == _MATRIX and p.shape[1] > 1]
        chosen = {id(p) for p in hidden}
        self.momentum = momentum
        require(0 <= momentum < 1, f"optimizer.momentum must be at least 0 and below 1, not {momentum!r}")
        groups: list[dict[str, Any]] = [
            {"params": hidden, "lr": positive("optimizer.hidden_lr", hidden_lr)},
            {"params": [p for p in params if id(p) not in chosen]},
        ]
        super().__init__(groups, lr=positive("optimizer.lr", lr), betas=betas, fused=fused)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the loss that `closure` returns, if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        gradients = [p.grad for p in group["params"]]
        for p, gradient in zip(group["params"], gradients, strict=True):
            if gradient is not None:
                self._step(p, gradient, group["lr"])
            p.grad = None  # Adam leaves alone what has none
        try:
            super().step()
        finally:
            for p, gradient in zip(group["params"], gradients, strict=True):
                p.grad = gradient
        return loss

    @torch.no_grad()
    def _step(self, p: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[p]
        if not state:
            state["step"], state["momentum_buffer"] = torch.zeros(()), torch.zeros_like(p)
        state["step"] += 1
        state["momentum_buffer"].lerp_(gradient, 1 - self.momentum)
        update = gradient.lerp(state["momentum_buffer"], self.momentum)
        update = orthogonalized(update.flatten(1) if p.dim() == _CONVOLUTION else update)
        rows, columns = update.shape[-2:]
        p.add_(update.view_as(p), alpha=-rate * max(1.0, rows / columns) ** 0.5)


def orthogonalized(matrix: Tensor, steps: int = 5) -> Tensor:
    """O(U) of (.., rows, columns): the same singular vectors, singular values between 0.7 and 1.2 or so.

    >>> values = torch.linalg.svdvals(orthogonalized(torch.diag(torch.tensor([1.0, 0.5, 0.1]))))
    >>> bool(((values > 0.6) & (values < 1.3)).all())
    True
    """
    a, b, c = COEFFICIENTS
    wide = matrix.shape[-2] <= matrix.shape[-1]
    x = matrix if wide else matrix.mT
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT
