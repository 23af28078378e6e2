"""The last channel should be 0: for signal=joint the medium stays that of the start, while the waves are found.

Its weight falls to 0 in the course of a run, ``weight: [[0.1, 10], [0.2, 0]]``: the medium is free from there on.
Source: Sitzmann et al., arXiv 2006.09661, supplement 5, where the medium is fixed at first.
"""

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.losses.base import Equation


class LastChannel(Equation):
    """The value of the field's last channel, anywhere in the box."""

    affine = True

    def points(self, signal, generator: torch.Generator, progress: float) -> Tensor:  # type: ignore[no-untyped-def]
        """(1024, D), uniform in the box."""
        return signal.uniform(1024, generator)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        return field.value[..., -1:]
