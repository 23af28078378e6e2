"""Softplus: ``s(z) = log(1 + exp(z))``, s' = sigmoid(z), s'' = s' (1 - s').

Source: Dugas et al., NIPS 2000; a smooth ReLU, and a baseline of SIREN (arXiv 2006.09661, supplement).
"""

from torch import Tensor
from torch.nn import functional

from sinefield.activations.base import Activation
from sinefield.core.jet import Derivatives


class Softplus(Activation):
    """``s(z) = log(1 + exp(z))``.

    >>> import torch
    >>> [round(part.item(), 4) for part in Softplus()(torch.zeros(1), order=2)]
    [0.6931, 0.5, 0.25]
    """

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(log(1 + e^z), p, p (1 - p))[:order + 1] with p = sigmoid(z), each shaped like z."""
        value = functional.softplus(z, threshold=40.0)  # above 40, z itself to the last bit of a float64
        if order == 0:
            return (value,)
        slope = z.sigmoid()
        return (value, slope) if order == 1 else (value, slope, slope * (1 - slope))
