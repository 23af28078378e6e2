"""STAF's trained sum of sines: ``s(z) = sum_i c_i sin(w_i z + p_i)``, tau terms.

    s' = sum_i c_i w_i cos(w_i z + p_i)        s'' = -sum_i c_i w_i^2 sin(w_i z + p_i)

Start: w ~ U(0, w0), p ~ U(-pi, pi), c = sign(l) sqrt(|l|) with l ~ Laplace(0, 1 / (2 tau)); W, b as
torch.nn.Linear has them.
Source: Morsali et al., arXiv 2502.00869, and the authors' code, whose layers have a set (w, p, c) each. Different here:
all layers share one set, network-wide, which the paper has among its ablations.
"""

import math

import torch
from torch import Tensor, nn

from sinefield.activations.base import Activation, uniform_
from sinefield.core.jet import Derivatives
from sinefield.errors import integer, positive


class Staf(Activation):
    """``s(z) = sum_i c_i sin(w_i z + p_i)`` with trained w, p and c, (tau,) each.

    Args:
        omega0: w0, the highest of the frequencies at the start, in radians per unit of z.
        terms: tau, the number of sines.

    >>> staf = Staf(omega0=30.0, terms=5)
    >>> sum(p.numel() for p in staf.parameters())
    15
    """

    def __init__(self, omega0: float = 30.0, terms: int = 5) -> None:
        super().__init__()
        count = integer("activation.terms", terms, least=1)
        amplitude = torch.distributions.Laplace(0.0, 1 / (2 * count)).sample((count,)).to(torch.get_default_dtype())
        self.frequencies = nn.Parameter(positive("activation.omega0", omega0) * torch.rand(count))
        self.phases = nn.Parameter(math.pi * (2 * torch.rand(count) - 1))
        self.amplitudes = nn.Parameter(amplitude.sign() * amplitude.abs().sqrt())

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s, s', s'')[:order + 1] as in the module's equations, each shaped like z; of K fields z is (K, ..)."""
        found: list[Tensor] = []
        for w, p, c in zip(*(self._each(part, z) for part in self.parameters()), strict=True):
            angle = w * z + p
            value = c * angle.sin()
            terms = [value, c * w * angle.cos(), -w * w * value][: order + 1] if order else [value]
            found = [a + b for a, b in zip(found, terms, strict=True)] if found else terms
        return tuple(found)

    def _each(self, part: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """The tau numbers, each shaped to meet z: () for one field, (K, 1, ..) for K."""
        each = part.to(z.dtype).unbind(-1)
        return tuple(one.reshape(one.shape + (1,) * (z.dim() - one.dim())) for one in each)

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """W ~ U(-1/sqrt(n), 1/sqrt(n)), n inputs: torch.nn.Linear's own, as in the authors' code."""
        uniform_(layer.weight, 1 / math.sqrt(layer.in_features))
