"""What keeps a distance function smooth where its surface has no normals: little divergence, or straight gradients.

    clamp(|lap f|, 0.1, 50)                     DiGS: Ben-Shabat et al., arXiv 2106.10811, sec. 3.2, and its code
    |grad f^T H grad f| / (|grad f|^2 + 1e-5)   StEik: Yang et al., arXiv 2305.18414, sec. 4, and its code

The second is 0 for a distance function: ``grad |grad f|^2 / 2 = H grad f = 0``. Both weights fall to 0 over the run.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.losses.schedule import Weight
from sinefield.losses.surface import SurfaceTerm

_SMALL = 1e-5  # of StEik's denominator


class Divergence(SurfaceTerm):
    """``clamp(|lap f|, low, high)``: outside these bounds nothing pulls.

    Args:
        weight, at, count: as of `SurfaceTerm`.
        bounds: low and high, per unit of the box.
    """

    order = 2

    def __init__(
        self,
        weight: Weight = 1.0,
        at: str = "anywhere",
        count: int = 1024,
        bounds: tuple[float, float] = (0.1, 50.0),
    ) -> None:
        super().__init__(weight, at, count)
        ordered = len(bounds) == 2 and 0 <= bounds[0] < bounds[1]
        require(ordered, f"the bounds of a term must be two numbers that rise, from 0 on; not {bounds!r}")
        self.bounds = bounds

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        assert field.laplacian is not None
        return field.laplacian.abs().clamp(*self.bounds)


class DirectionalDivergence(SurfaceTerm):
    """``|g^T H g| / (|g|^2 + 1e-5)``, g = grad f, H g as the gradient of |g|^2 / 2 by autograd.

    A forward jet has no mixed second derivatives; so this costs about three times what DiGS's Laplacian does.
    """

    order = 1
    by_points = True

    def __init__(self, weight: Weight = 1.0, at: str = "anywhere", count: int = 1024) -> None:
        super().__init__(weight, at, count)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        assert field.gradient is not None
        gradient = field.gradient.squeeze(-2)
        square = gradient.square().sum(-1, keepdim=True)
        (product,) = torch.autograd.grad(square.sum() / 2, x, create_graph=True)  # H g
        return (gradient * product).sum(-1, keepdim=True) / (square + _SMALL)
