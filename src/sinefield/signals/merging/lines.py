"""Integrals along straight lines of a sum of gradients whose weights vary: what a field without a potential has.

    int_a^b sum_s w_s(x) grad s(x) . dx  =  sum_s sum_i w_s(m_i) [s(x_i+1) - s(x_i)]

a = x_0, x_1, ... b at equal distances, m_i halfway between x_i and x_i+1. Exact where the weights are constant between
the points; otherwise the error per jump of a weight is at most half a distance times the slope, and vanishes with it.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def integral(
    start: Tensor,
    end: Tensor,
    parts: Tensor,
    weights: Callable[[Tensor], Sequence[Tensor]],
    functions: Sequence[Callable[[Tensor], Tensor]],
) -> Tensor:
    """(N, C), along the lines from start (N, D) to end (N, D).

    By summation by parts, ``sum_i w_i [s_i+1 - s_i] = sum_i (w_i-1 - w_i) s_i``: a function is evaluated only where
    its weight changes.

    Args:
        start, end: (N, D) coordinates.
        parts: (N,) how many parts each line has, at least 1.
        weights: maps (M, D) coordinates to one (M,) tensor per function.
        functions: each maps (M, D) coordinates to (M, C).

    >>> square = lambda x: x**2
    >>> right = lambda x: [(x[:, 0] > 1).to(x.dtype)]
    >>> integral(torch.tensor([[0.0]]), torch.tensor([[3.0]]), torch.tensor([3]), right, [square])
    tensor([[8.]])
    """
    line = torch.repeat_interleave(parts + 1)  # of each node, ends included
    first = (parts + 1).cumsum(0) - parts - 1
    number = torch.arange(len(line), device=line.device) - first[line]
    inner = number < parts[line]  # the nodes at which a part begins

    def at(nodes: Tensor, shift: float) -> Tensor:
        t = (number[nodes] + shift).to(start.dtype) / parts[line[nodes]]
        return start[line[nodes]].lerp(end[line[nodes]], t[:, None])

    sums = []
    for share, function in zip(weights(at(inner, 0.5)), functions, strict=True):
        w = torch.zeros(len(line), dtype=start.dtype, device=start.device).masked_scatter(inner, share)
        change = w.roll(1) - w  # before a line's first node stands the last of the line before, of weight 0
        nodes = change.nonzero()[:, 0]
        terms = change[nodes, None] * function(at(nodes, 0.0))
        lengths = torch.bincount(line[nodes], minlength=len(start))
        sums.append(torch.segment_reduce(terms, "sum", lengths=lengths))  # in a fixed order, on any device
    return torch.stack(sums).sum(0)
