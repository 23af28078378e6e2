"""Gradient clipping, in place, between the backward pass and the optimizer's step.

Of a stack of K networks each is clipped as it would be alone: the first axes of every gradient are those of `stack`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def clip_norm(gradients: Sequence[Tensor], limit: float, stack: Sequence[int] = ()) -> None:
    """Scale the gradients of each network so that their common norm is at most `limit` > 0.

        g <- g min(1, limit / |g|)        |g|: the Euclidean norm over all parameters of one network

    `gradients` are (*stack, ...) each; `stack` is (K,) for K networks, () for one. Source: Pascanu, Mikolov, Bengio
    (2013), arXiv 1211.5063, algorithm 1.

    >>> g = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    >>> clip_norm(g, 1.0); g
    [tensor([0.6000, 0.0000]), tensor([[0.8000]])]
    """
    norms = []
    for gradient in gradients:
        dtype = torch.promote_types(gradient.dtype, torch.float32)  # squares overflow 16 bits
        norms.append(torch.linalg.vector_norm(gradient.reshape(*stack, -1), dim=-1, dtype=dtype))
    factor = (limit / torch.linalg.vector_norm(torch.stack(norms), dim=0)).clamp(max=1)  # of gradients of 0 too
    for gradient in gradients:
        gradient.mul_(factor.reshape((*stack, *[1] * (gradient.ndim - len(stack)))))


def clip_value(gradients: Sequence[Tensor], limit: float, stack: Sequence[int] = ()) -> None:
    """Clamp every entry of the gradients to [-limit, limit]; arguments as for `clip_norm`."""
    for gradient in gradients:
        gradient.clamp_(-limit, limit)


CLIPS: dict[str, Callable[..., None]] = {"norm": clip_norm, "value": clip_value}
