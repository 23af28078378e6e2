"""The gradient of a loss over a batch, in microbatches whose activations stay in cache, several at a time.

The loss is a mean over points, or over groups of them, so its gradient is the weighted sum of those of the
microbatches, added in the order of the batch. On the CPU every thread takes a microbatch of its own and does all of it:
no operation waits for the slowest of several threads, which happens some hundred times per step where each operation is
split over the threads: on a busy machine that is the difference between 1 and 10 times the time.

A batch for a stack of K fields is split along K too: a microbatch is of as many fields as stay in cache together. Their
losses are summed, so that each field's gradient is what it would be alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from itertools import product
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.fields.stack import select_fields

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Group, Loss
    from sinefield.training.data import Batch

# Numbers in one layer's values of a microbatch, 1 MiB; twice is 5 % faster, in 2 to 4 times the memory.
_IN_CACHE = 2**18
_SHARED = 2**17  # the same in a microbatch of several fields, each of which brings its weights along
_FEWEST = 2**10  # points of a microbatch: fewer would save next to nothing beside the weights
_ON_DEVICE = 2**26  # the same on an accelerator, which wants few large microbatches: bounds its memory

Which = int | slice | EllipsisType  # fields of a stack: one, some, or all there are, as those of a single field


class Microbatch(NamedTuple):
    """Consecutive points x (n, D) of a batch, the terms evaluated there, and what these know there.

    `share` is n over the points of the step, on all processes, of the same terms.
    """

    group: Group
    x: Tensor
    known: Jet
    share: float


def split_batch(groups: Sequence[Group], batch: Batch, points: int, least: int = 1) -> list[Microbatch]:
    """A batch in microbatches of at most `points` points, but for points that are compared together.

    Args:
        groups: of terms, one for each entry of the batch.
        points: at most.
        least: how many microbatches are wanted of the largest entry, so that all threads have one.
    """
    microbatches = []
    for group, samples in zip(groups, batch, strict=True):
        n = len(samples.x)
        together = group.size or n
        size = max(1, min(points, -(-n // least)) // together) * together
        for start in range(0, n, size):
            rows = slice(start, start + size)
            x, known = samples.x[rows], samples.known.map(lambda t, rows=rows: t[rows])  # type: ignore[misc]
            microbatches.append(Microbatch(group, x, known, samples.share * len(x) / n))
    return microbatches


class Microbatches:
    """Losses, gradients and values of a field in microbatches; inside `thread_pool` on all threads of the CPU.

    `points` are those of a microbatch, None for as many as the device does best with.
    """

    def __init__(self, field: CoordinateMLP, points: int | None = None) -> None:
        self.field = field
        self.points = points
        self.halvings = 0  # of what was too much for the memory
        self.pool: ThreadPoolExecutor | None = None
        self.threads = 1

    @contextmanager
    def thread_pool(self, device: torch.device) -> Iterator[None]:
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
        self,
        loss: Loss,
        batch: Batch,
        weights: Mapping[str, Tensor],
        scale: Callable[[Tensor], Tensor] = lambda total: total,
    ) -> dict[str, Tensor]:
        """Add the gradient of the loss over the batch to the parameters'; the weighted terms by name.

        Args:
            loss: one of its groups of terms for each entry of the batch, which may hold all of them several times.
            weights: of each term over what it is relative to, () each; of K signals for a stack, (K,) each. Terms
                without one are not evaluated.
            scale: of the loss, where its gradient is in 16 bits.

        Returns:
            () each; (K,) for a stack, whose targets are those of K signals with their channels side by side, (N, K C).
        """
        groups = [group.only(weights) for group in loss.groups] * (len(batch) // len(loss.groups))
        wanted = [(group, samples) for group, samples in zip(groups, batch, strict=True) if group.terms]
        groups, batch = [group for group, _ in wanted], [samples for _, samples in wanted]
        microbatches = split_batch(groups, batch, self.size(batch[0].x.device), self.threads)
        for parameter in self.field.parameters() if self.field.stack else []:  # the parts of a stack add to it
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        fields = self._fields(max(len(microbatch.x) for microbatch in microbatches), batch[0].x.device)
        parameters = {field: list(field.parameters()) for _, field in fields}
        precision = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None

        def work(job: tuple[tuple[Which, CoordinateMLP], Microbatch]) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
            (which, field), microbatch = job
            with torch.autocast("cpu", precision, enabled=precision is not None):  # which belongs to a thread
                found = self._terms(field, which, microbatch, weights)
            total = reduce(operator.add, found.values()).sum()  # over all fields of a stack
            return found, torch.autograd.grad(scale(total), parameters[field], materialize_grads=True)

        jobs = list(product(fields, microbatches))
        terms = {name: batch[0].x.new_zeros(self.field.stack) for name in loss.terms}
        for ((which, field), _), (found, gradients) in zip(jobs, self._map(work, jobs), strict=True):
            for name, value in found.items():
                terms[name][which] += value.detach()
            for parameter, gradient in zip(parameters[field], gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        return terms

    def _map(self, work: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        """The results in the order of the jobs.

        In anomaly mode torch takes Python's lock while it holds a parameter's; a thread that does so the other way
        round would wait for ever. So all is done in this one.
        """
        return map(work, jobs) if self.pool is None or torch.is_anomaly_enabled() else self.pool.map(work, jobs)

    def values(self, x: Tensor) -> Tensor:
        """The field's values (N, C) at x (N, D), those of a stack (K, N, C).

        Nothing is recorded, and nothing rounded to fewer bits than the parameters': they are what a loaded field gives.
        """

        def work(job: tuple[tuple[Which, CoordinateMLP], Tensor]) -> Tensor:
            with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
                return job[0][1](job[1])

        points = x.split(self.size(x.device))
        jobs = list(product(self._fields(len(points[0]), x.device), points))
        found = list(self._map(work, jobs))
        rows = [torch.cat(found[i : i + len(points)], dim=-2) for i in range(0, len(found), len(points))]
        return torch.cat([row.flatten() for row in rows]).reshape(*self.field.stack, len(x), -1)

    def size(self, device: torch.device) -> int:
        """Points per microbatch."""
        return self._room(device, _IN_CACHE) if self.points is None else self.points

    def halve(self, device: torch.device) -> bool:
        """Take half as much at a time from here on; False where that is little already, or the user's choice."""
        if self.points is not None or self._room(device, _IN_CACHE) < 2 * _FEWEST:
            return False
        self.halvings += 1
        return True

    def _room(self, device: torch.device, in_cache: int) -> int:
        """How many points times fields a microbatch has room for; twice as many where numbers are half as long."""
        room = (in_cache << torch.is_autocast_enabled("cpu")) if device.type == "cpu" else _ON_DEVICE
        return max(1, room // self.field.head.in_features >> self.halvings)

    def _fields(self, points: int, device: torch.device) -> list[tuple[Which, CoordinateMLP]]:
        """The field, or the parts of a stack that are evaluated together at so many points, each with its place."""
        count, together = self.field.stack.numel(), max(1, self._room(device, _SHARED) // points)
        if together >= count:
            return [(..., self.field)]
        places = [start if together == 1 else slice(start, start + together) for start in range(0, count, together)]
        return [(place, select_fields(self.field, place)) for place in places]

    def _terms(
        self, field: CoordinateMLP, which: Which, microbatch: Microbatch, weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The weighted terms of a microbatch for some of the fields, () or (K,), times its share of the batch."""
        group, known = microbatch.group, microbatch.known
        x = group.first.refine(field, microbatch.x)
        if any(term.by_points for term in group.terms.values()):
            x = x.detach().requires_grad_()
        found = field.jet(x, group.order, group.operators)
        if self.field.stack:
            known = known.map(lambda t: t.unflatten(1, (*self.field.stack, -1)).movedim(1, 0)[which])
        return {
            name: microbatch.share * weights[name][which] * term(found, known, x).mean(-1)
            for name, term in group.terms.items()
        }
