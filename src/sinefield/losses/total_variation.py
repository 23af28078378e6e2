"""Total variation: the mean of ``|grad f|``, rounded at 0: few edges, and flat between them.

    E (sqrt(|grad f|^2 + e^2) - e)

Source: Rudin, Osher & Fatemi, Nonlinear total variation based noise removal algorithms, Physica D 60, 1992.
"""

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import positive
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight


class TotalVariation(Equation):
    """The rounded length of the gradient of every channel together, anywhere in the box.

    Args:
        weight: as of `Term`.
        epsilon: e, per unit of coordinate: gradients far below count by their squares.
    """

    order = 1

    def __init__(self, weight: Weight = 1.0, epsilon: float = 0.1) -> None:
        super().__init__(weight)
        self.epsilon = positive("epsilon of a term", epsilon)

    def __call__(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N,): not squared."""
        return (self.residual(field, known, x).square().sum(-1) + self.epsilon**2).sqrt() - self.epsilon

    def points(self, signal, generator: torch.Generator, progress: float) -> Tensor:  # type: ignore[no-untyped-def]
        """(2048, D), uniform in the box."""
        return signal.uniform(2048, generator)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C D), the gradient."""
        assert field.gradient is not None
        return field.gradient.flatten(-2)
