"""K networks of one architecture as one: every tensor of the network gets an axis of length K in front.

A layer of all K is one stacked matrix product, ``z_k = W_k h_k + b_k``, and a jet is (K, N, C), (K, N, C, D) and
(K, N, C), by the rules of jet.py. Each network stays independent of the others and can be taken out again.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from sinefield.fields.mlp import CoordinateMLP


def stack_fields(fields: Sequence[CoordinateMLP]) -> CoordinateMLP:
    """K fields of one architecture as one field of fields, with copies of their weights.

    >>> from sinefield.fields.mlp import Siren
    >>> field = stack_fields([Siren(2, 3, width=16, depth=1) for _ in range(5)])
    >>> field.layers[1].weight.shape, field.jet(torch.zeros(7, 2), order=1).gradient.shape
    (torch.Size([5, 16, 16]), torch.Size([5, 7, 3, 2]))
    """
    parameters = zip(*(field.parameters() for field in fields), strict=True)
    buffers = zip(*(field.buffers() for field in fields), strict=True)
    tensors: dict[int, Tensor] = {id(same[0]): torch.stack(same) for same in buffers}
    tensors |= {id(same[0]): nn.Parameter(torch.stack(same).detach()) for same in parameters}
    return deepcopy(fields[0], tensors)  # its memo says what stands for which tensor: none is copied


def select_fields(stack: CoordinateMLP, which: int | slice) -> CoordinateMLP:
    """One field of a stack, or a smaller stack; its weights are views: what trains them trains those of the stack.

    Where the stack's weights have gradients, so have they, and what is added to one is added to the other.

    >>> from sinefield.fields.mlp import Siren
    >>> stack = stack_fields([Siren(2, 3, width=16, depth=1) for _ in range(5)])
    >>> select_fields(stack, 4)(torch.zeros(7, 2)).shape, select_fields(stack, slice(2, 4))(torch.zeros(7, 2)).shape
    (torch.Size([7, 3]), torch.Size([2, 7, 3]))
    """
    views: dict[int, Tensor] = {id(buffer): buffer[which] for buffer in stack.buffers()}
    for parameter in stack.parameters():
        view = nn.Parameter(parameter.detach()[which])
        view.grad = None if parameter.grad is None else parameter.grad[which]
        views[id(parameter)] = view
    return deepcopy(stack, views)
