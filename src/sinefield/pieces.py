"""The gradient of a loss over a batch, piece by piece: pieces whose activations stay in cache, several at a time.

The loss is a mean over points, or over groups of them, so its gradient is the weighted sum of those of the pieces,
added in the order of the batch. On the CPU every thread takes a piece of its own and does all of it: nothing waits for
anything within a piece, where one operation split over the threads waits for the slowest of them every time, some
hundred times per step. On a machine that is busy otherwise too that is the difference between 1 and 10 times the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from sinefield.jet import Jet

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.data import Batch
    from sinefield.field import CoordinateMLP
    from sinefield.losses.base import Loss

_IN_CACHE = 2**18  # numbers in one layer's values of a piece, 1 MiB: some ten of them are in use at a time
_FEWEST = 2**10  # points of a piece: fewer would save next to nothing beside the weights
_ON_DEVICE = 2**26  # the same on an accelerator, which wants few large pieces: bounds its memory


class Piece(NamedTuple):
    """Some consecutive points of a batch.

    Attributes:
        part: the loss they belong to.
        x: (n, D) coordinates.
        target: what the field's jet is compared with there.
        share: n over the points of the step, on all processes, that belong to the same loss.
    """

    part: Loss
    x: Tensor
    target: Jet
    share: float


def cut(parts: Sequence[Loss], batch: Batch, points: int, least: int = 1) -> list[Piece]:
    """A batch in pieces of at most `points` points, at least `least` of them where it has as many groups.

    Args:
        parts: the losses, one for each entry of the batch.
        points: at most, but for a group of a loss, which is never cut.
        least: how many pieces are wanted of the largest entry, so that all threads have one.
    """
    pieces = []
    for part, samples in zip(parts, batch, strict=True):
        n = len(samples.x)
        group = part.group or n
        size = max(1, min(points, -(-n // least)) // group) * group
        for start in range(0, n, size):
            rows = slice(start, start + size)
            x, target = samples.x[rows], samples.target.map(lambda t, rows=rows: t[rows])  # type: ignore[misc]
            pieces.append(Piece(part, x, target, samples.share * len(x) / n))
    return pieces


class Pieces:
    """Computes losses, gradients and values of a field piece by piece; inside `working` on all threads of the CPU.

    Args:
        field: answers with its jet.
        points: per piece; None for as many as the device does best with.
    """

    def __init__(self, field: CoordinateMLP, points: int | None = None) -> None:
        self.field = field
        self.points = points
        self.shrink = points is None
        self.pool: ThreadPoolExecutor | None = None
        self.threads = 1

    @contextmanager
    def working(self, device: torch.device) -> Iterator[None]:
        """Threads to work with, as many as torch was given; on an accelerator none are needed."""
        threads = torch.get_num_threads()
        if device.type != "cpu" or threads == 1:
            yield
            return
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            self.pool, self.threads = pool, threads
            try:
                yield
            finally:
                self.pool, self.threads = None, 1
                torch.set_num_threads(threads)

    def gradient(
        self, parts: Sequence[Loss], batch: Batch, power: Jet, backward: Callable[[Tensor], None] = Tensor.backward
    ) -> dict[str, Tensor]:
        """Add the gradient of the loss over the batch to the parameters'; the weighted terms, (), by name.

        Args:
            parts: the losses, one for each entry of the batch.
            power: mean squares of the signal, as the losses want them.
            backward: takes the loss of a piece, (), and adds its gradient, where there are no threads.
        """
        pieces = cut(parts, batch, self.size(batch[0].x.device), self.threads)
        terms: dict[str, Tensor] = {}

        def add(found: dict[str, Tensor]) -> None:
            for name, value in found.items():
                terms[name] = terms.get(name, 0) + value.detach()

        if self.pool is None:
            for piece in pieces:
                found = self._terms(piece, power)
                backward(torch.stack(list(found.values())).sum())
                add(found)
            return terms
        parameters = list(self.field.parameters())
        precision = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None

        def work(piece: Piece) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
            with torch.autocast("cpu", precision, enabled=precision is not None):
                found = self._terms(piece, power)
            total = torch.stack(list(found.values())).sum()
            return found, torch.autograd.grad(total, parameters, materialize_grads=True)

        for found, gradients in self.pool.map(work, pieces):
            add(found)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        return terms

    def values(self, x: Tensor) -> Tensor:
        """The field's values (N, C) at x (N, D); nothing is recorded."""

        def work(piece: Tensor) -> Tensor:
            with torch.no_grad():
                return self.field(piece)

        pieces = x.split(self.size(x.device))
        return torch.cat(list(map(work, pieces) if self.pool is None else self.pool.map(work, pieces)))

    def size(self, device: torch.device) -> int:
        """Points per piece."""
        if self.points is not None:
            return self.points
        return max(1, (_IN_CACHE if device.type == "cpu" else _ON_DEVICE) // self.field.head.in_features)

    def halve(self, device: torch.device) -> bool:
        """Take half as many points from here on; False where they are few already, or the user's choice."""
        if not self.shrink or self.size(device) < 2 * _FEWEST:
            return False
        self.points = self.size(device) // 2
        return True

    def _terms(self, piece: Piece, power: Jet) -> dict[str, Tensor]:
        """The terms of a piece, weighted by its share of the batch."""
        found = piece.part(self.field.jet(piece.x, piece.part.order), piece.target, power)
        return {name: piece.share * value for name, value in found.items()}
