"""Real Gabor wavelet: ``s(z) = cos(w z) exp(-(a z)^2)``, WIRE's activation in one real layer.

    s'  = (-w sin(w z) - 2 a^2 z cos(w z)) exp(-(a z)^2)
    s'' = ((4 a^4 z^2 - 2 a^2 - w^2) cos(w z) + 4 a^2 w z sin(w z)) exp(-(a z)^2)

Source: Saragadam et al., WIRE: Wavelet Implicit Neural Representations, arXiv 2301.05187, eq. 3 (the real part),
with one linear map for both factors; the authors' RealGaborLayer has a map each.
"""

import math

from torch import Tensor, nn

from sinefield.activations.base import Activation, uniform_
from sinefield.core.jet import Derivatives
from sinefield.errors import positive


class Gabor(Activation):
    """``s(z) = cos(w z) exp(-(a z)^2)``.

    Args:
        omega0: w, in radians per unit of z.
        sharpness: a, in units of 1/z: the inverse width of the envelope.

    >>> import torch
    >>> [part.item() for part in Gabor(omega0=2.0, sharpness=1.0)(torch.zeros(1), order=2)]
    [1.0, -0.0, -6.0]
    """

    def __init__(self, omega0: float = 10.0, sharpness: float = 10.0) -> None:
        super().__init__()
        self.omega0 = positive("activation.omega0", omega0)
        self.sharpness = positive("activation.sharpness", sharpness)

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s, s', s'')[:order + 1] as in the module's equations, each shaped like z."""
        w, a2 = self.omega0, self.sharpness**2
        envelope, cosine = (-a2 * z * z).exp(), (w * z).cos()
        value = cosine * envelope
        if order == 0:
            return (value,)
        sine = (w * z).sin()
        slope = -(w * sine + 2 * a2 * z * cosine) * envelope
        if order == 1:
            return (value, slope)
        curvature = ((4 * a2 * a2 * z * z - 2 * a2 - w * w) * cosine + 4 * a2 * w * z * sine) * envelope
        return (value, slope, curvature)

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """W ~ U(-1/sqrt(n), 1/sqrt(n)), n inputs: torch.nn.Linear's own, as in the authors' code."""
        uniform_(layer.weight, 1 / math.sqrt(layer.in_features))
