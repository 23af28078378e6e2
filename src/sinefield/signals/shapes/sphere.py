"""A field that starts as a sphere: ``f(x) = |x - c| - r``, inside below 0.

From there the sign of inside and outside never has to be found. The head is solved for by least squares, then some
steps of Adam take all layers there. Source of the idea: Atzmon & Lipman, SAL, arXiv 1911.10414, sec. 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP

STEPS, POINTS, RATE = 200, 1024, 1e-3


def fit(field: CoordinateMLP, centre: Tensor, radius: float, extent: Tensor, seed: int) -> None:
    """Give the field weights with which it is such a sphere over the box of half sides `extent` (3,), about `centre`.

    A function of the field's weights and the seed alone.
    """
    generator = torch.Generator().manual_seed(seed)
    like = field.head.weight
    centre, extent = centre.to(like), extent.to(like)
    optimizer = torch.optim.Adam(field.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        unit = torch.rand(POINTS, len(extent), generator=generator).to(like)
        away = (2 * unit - 1) * extent - centre
        distance = away.norm(dim=1, keepdim=True)
        jet = field.jet(away + centre, 1)
        assert jet.gradient is not None
        slope = (jet.gradient - (away / distance.clamp(min=1e-6)).unsqueeze(1)).square().sum(-1)
        loss = (jet.value - (distance - radius)).square().mean() + 0.1 * slope.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
