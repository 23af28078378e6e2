"""Roughness: the mean of ``(lap f)^2``, which a smooth function has little of.

Source: Duchon, Splines minimizing rotation-invariant semi-norms in Sobolev spaces, 1977: the thin plate's energy, up to
its border.
"""

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.losses.base import Equation


class Roughness(Equation):
    """The Laplacian of every channel, anywhere in the box."""

    order = 2
    affine = True

    def points(self, signal, generator: torch.Generator, progress: float) -> Tensor:  # type: ignore[no-untyped-def]
        """(2048, D), uniform in the box."""
        return signal.uniform(2048, generator)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C)."""
        assert field.laplacian is not None
        return field.laplacian
