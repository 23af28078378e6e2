"""H-SIREN's hyperbolic sine in front of the first sine: ``s(z) = sin(w0 sinh(2 z))``; hidden layers are SIREN's.

    s'  = 2 w0 cosh(2 z) cos(w0 sinh(2 z))
    s'' = 4 w0 sinh(2 z) cos(.) - (2 w0 cosh(2 z))^2 sin(.)

The frequency of a unit is w0 d sinh(2 z)/dz: 2 w0 at z = 0, and it grows with |z| as cosh(2 z). Beyond |z| = 6 the
angle stays at w0 sinh(12): float32 resolves no phase there, and sinh would overflow at |z| = 45. Source: Gao & Jaiman,
H-SIREN: Improving implicit neural representations with hyperbolic periodic functions, arXiv 2410.04716, whose
sin(sinh(2x)) has no w0; here w0 multiplies sinh, so that omega0 scales the frequencies as it does for `Sine`.
"""

from torch import Tensor

from sinefield.activations.sine import Sine
from sinefield.core.jet import Derivatives

FARTHEST = 6.0  # |z| beyond which sinh(2 z) grows no more


class HSiren(Sine):
    """``s(z) = sin(w0 sinh(2 z))`` in the first layer, ``sin(w0 z)`` behind it; initialised as `Sine`.

    Behind an encoding all layers are hidden ones, and it is `Sine`.

    Args:
        omega0: w0 of the first layer.
        hidden_omega0: w0 of the hidden layers; `omega0` where None.
        scale: as for `Sine`.

    >>> import torch
    >>> [part.item() for part in HSiren(omega0=2.0)(torch.zeros(1), order=1, first=True)]
    [0.0, 4.0]
    """

    def __init__(self, omega0: float = 30.0, hidden_omega0: float | None = None, scale: float = 1.0) -> None:
        super().__init__(omega0, hidden_omega0, scale)

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s, s', s'')[:order + 1] as in the module's equations, each shaped like z."""
        if not first:
            return super().forward(z, order, first)
        w, near = self.omega0, z.clamp(-FARTHEST, FARTHEST)
        sinh = (2 * near).sinh()
        value = (w * sinh).sin()
        if order == 0:
            return (value,)
        inside = (near == z).to(z.dtype)
        rate, cosine = 2 * w * (2 * near).cosh() * inside, (w * sinh).cos()
        slope = rate * cosine
        return (value, slope) if order == 1 else (value, slope, 4 * w * sinh * inside * cosine - rate * rate * value)
