"""Points of several networks, in any order, as one row of points for each network."""

import torch
from torch import Tensor


def places(k: Tensor, counts: Tensor) -> tuple[Tensor, int]:
    """Where point n of network k[n] goes among K rows of R places laid end to end, (N,), and R, the longest row.

    Args:
        k: (N,), the network of each point.
        counts: (K,), the points of each network.

    >>> places(torch.tensor([1, 0, 1]), torch.tensor([1, 2]))
    (tensor([2, 0, 3]), 2)
    """
    rank, room = k.argsort(stable=True), int(counts.max())
    place = torch.empty_like(k)
    place[rank] = torch.arange(len(k), device=k.device) - (counts.cumsum(0) - counts)[k[rank]]
    return k * room + place, room
