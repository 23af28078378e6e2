"""What a step of an optimizer that solves needs of the training loop: all threads for one matrix, the loss alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from sinefield.core.jet import joined
from sinefield.optimizers.base import FieldOptimizer
from sinefield.training.microbatches import Microbatches, split_batch

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.losses.base import Loss
    from sinefield.training.data import Batch


def wants_gradient(optimizer: Optimizer) -> bool:
    """Whether its step needs one; False where the loss alone will do."""
    return not isinstance(optimizer, FieldOptimizer) or optimizer.gradients


def solve(
    optimizer: FieldOptimizer, microbatches: Microbatches, loss: Loss, batch: Batch, weights: Mapping[str, Tensor]
) -> None:
    """Let an optimizer that solves see the points of a step; operations on large matrices take all threads for each."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, microbatches.threads))
    try:
        optimizer.solve(microbatches.field, loss, batch, weights)
    finally:
        torch.set_num_threads(before)


def learned(optimizer: Optimizer) -> dict[str, Any]:
    """What optimizer=learned was given, for its checkpoints: the run that it is of may be gone; {} of another one."""
    return {name: getattr(optimizer, name) for name in ("rates", "adam") if hasattr(optimizer, name)}


@torch.no_grad()
def terms(microbatches: Microbatches, loss: Loss, batch: Batch, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weighted terms of one field by name, () each, without a gradient; jets in blocks of bounded memory."""
    size, found = microbatches.size(batch[0].x.device), dict[str, Tensor]()
    groups = [group.only(weights) for group in loss.groups] * (len(batch) // len(loss.groups))
    for group, x, known, share in split_batch(groups, batch, size):
        jet = joined([microbatches.field.jet(some, group.order, group.operators) for some in x.split(size)])
        for name, term in group.terms.items():
            found[name] = found.get(name, 0.0) + share * weights[name] * term(jet, known, x).mean()
    return found
