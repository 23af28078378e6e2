"""FINER's variable-periodic sine: ``s(z) = sin(w0 (|z| + 1) z)``; its frequency grows with |z|.

    s'  = w0 (2|z| + 1) cos(w0 (|z| + 1) z)
    s'' = 2 w0 sign(z) cos(.) - (w0 (2|z| + 1))^2 sin(.)

s'' jumps by 4 w0 at z = 0 (sign(0) = 0 there). Source: Liu et al., FINER: Flexible spectral-bias tuning in
Implicit NEural Representation by Variable-periodic Activation Functions, arXiv 2312.02434, eq. 5.
"""

from torch import Tensor, nn

from sinefield.activations.base import uniform_
from sinefield.activations.sine import Sine
from sinefield.core.jet import Derivatives
from sinefield.errors import positive


class Finer(Sine):
    """``s(z) = sin(w0 (|z| + 1) z)``, initialised as SIREN but for the first layer's bias.

    Args:
        omega0: w0 of the first layer.
        hidden_omega0: w0 of the hidden layers; `omega0` where None.
        scale: as for `Sine`.
        first_bias: k: the first layer's bias is drawn from U(-k, k), which spreads the frequencies it starts with
            (sec. 3.3). The authors' pictures use 1/sqrt(2), torch.nn.Linear's own bound, unless they tune it.

    >>> import torch
    >>> [part.item() for part in Finer(omega0=2.0)(torch.zeros(1), order=1)]
    [0.0, 2.0]
    """

    def __init__(
        self, omega0: float = 30.0, hidden_omega0: float | None = None, scale: float = 1.0, first_bias: float = 0.7071
    ) -> None:
        super().__init__(omega0, hidden_omega0, scale)
        self.first_bias = positive("activation.first_bias", first_bias)

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(s, s', s'')[:order + 1] as in the module's equations, each shaped like z."""
        w = self._frequency(first)
        magnitude = z.abs()
        angle = w * (magnitude + 1) * z
        value = angle.sin()
        if order == 0:
            return (value,)
        rate, cosine = w * (2 * magnitude + 1), angle.cos()
        slope = rate * cosine
        return (value, slope) if order == 1 else (value, slope, 2 * w * z.sign() * cosine - rate * rate * value)

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """W as `Sine`; b ~ U(-k, k) in the first layer."""
        super().initialize(layer, first)
        if first:
            uniform_(layer.bias, self.first_bias)
