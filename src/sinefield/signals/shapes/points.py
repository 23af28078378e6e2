"""A set of points and what is known at each."""

import torch
from torch import Tensor, nn

_DIRECTION = (0.5377, 0.7264, 0.4280)  # no ratio of small integers, which the points of a lattice have


class PointSet(nn.Module):
    """Points x (P, 3) and what is known there, (P, R).

    >>> points = PointSet(torch.rand(100, 3), torch.arange(100.0)[:, None])
    >>> points.at(points.x[[7, 3, 7]]).flatten().tolist()
    [7.0, 3.0, 7.0]
    """

    x: Tensor
    known: Tensor

    def __init__(self, x: Tensor, known: Tensor) -> None:
        super().__init__()
        self.register_buffer("x", x)
        self.register_buffer("known", known)
        self._sorted: tuple[Tensor, Tensor, Tensor] | None = None  # of x: keys and numbers in the keys' order

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 3) of the points, with replacement."""
        return self.x[torch.randint(len(self.x), (count,), generator=generator, device=self.x.device)]

    def at(self, x: Tensor) -> Tensor:
        """(N, R), what is known at x (N, 3), which are some of the points."""
        if self._sorted is None or self._sorted[0] is not self.x:  # it was moved, or rounded
            self._sorted = self.x, *_keys(self.x).sort()
        _, keys, numbers = self._sorted
        place = torch.searchsorted(keys, _keys(x)).clamp(max=len(keys) - 1)
        return self.known[numbers[place]].to(x)


def _keys(x: Tensor) -> Tensor:
    """(N,), a number for each point, the same wherever it stands."""
    x = x.double()
    return x[:, 0] * _DIRECTION[0] + x[:, 1] * _DIRECTION[1] + x[:, 2] * _DIRECTION[2]
