"""A batch in microbatches of consecutive points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from sinefield.core.jet import Jet

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.losses.base import Group
    from sinefield.training.data import Batch


class Microbatch(NamedTuple):
    """Some consecutive points of a batch.

    Attributes:
        group: the terms that are evaluated there.
        x: (n, D) coordinates.
        known: what these terms know there.
        share: n over the points of the step, on all processes, of the same terms.
    """

    group: Group
    x: Tensor
    known: Jet
    share: float


def split_batch(groups: Sequence[Group], batch: Batch, points: int, least: int = 1) -> list[Microbatch]:
    """A batch in microbatches of at most `points` points, at least `least` microbatches where there are groups enough.

    Args:
        groups: of terms, one for each entry of the batch.
        points: at most, but for points that are compared together, which are never cut.
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
