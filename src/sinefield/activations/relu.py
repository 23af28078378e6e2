"""ReLU: ``s(z) = max(z, 0)``, with s' = [z > 0] and s'' = 0 almost everywhere.

Source: the baseline of SIREN (arXiv 2006.09661) and, behind a positional encoding, of NeRF (arXiv 2003.08934).
"""

from typing import ClassVar

import torch
from torch import Tensor

from sinefield.activations.base import Activation
from sinefield.core.jet import Derivatives


class ReLU(Activation):
    """``s(z) = max(z, 0)``. Its Laplacian is zero almost everywhere: it cannot serve a Laplacian loss.

    >>> ReLU()(torch.tensor([-1.0, 2.0]), order=1)
    (tensor([0., 2.]), tensor([0., 1.]))
    """

    max_order: ClassVar[int] = 1

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(max(z, 0), [z > 0], 0)[:order + 1], each shaped like z."""
        return (z.relu(), (z > 0).to(z.dtype), torch.zeros_like(z))[: order + 1]
