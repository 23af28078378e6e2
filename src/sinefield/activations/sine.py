"""The sine of SIREN: ``s(z) = sin(w0 z)``, so that a layer computes sin(w0 (W x + b)).

    s' = w0 cos(w0 z)        s'' = -w0^2 sin(w0 z)

Source: Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, arXiv 2006.09661,
sec. 3.2 and its supplement sec. 1; w0 multiplies inside, as in the authors' code (the paper's text writes
sin(w0 W x + b)).
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sinefield.activations.base import Activation, uniform_
from sinefield.core.jet import Derivatives, Jet
from sinefield.errors import integer, positive, require
from sinefield.kernels import layer as kernel


class Sine(Activation):
    """``s(z) = sin(w0 z)``, with one w0 for the first layer and one for the hidden layers.

    Args:
        omega0: w0 of the first layer: how high the frequencies start, in radians per unit of ``W x + b``. A list has
            one for each axis: w0 is the highest of them, the weights of axis d start smaller by w0_d / w0. "auto" goes
            by the sampling: ``w0 = 1/(4h) = (samples - 1)/8``, half the samples' Nyquist frequency in cycles per unit
            of coordinate, so that pictures of all sizes start alike when seen pixel by pixel. Behind an encoding, whose
            waves are what a hidden layer has in front, all layers are hidden ones.
        hidden_omega0: w0 of the hidden layers; where None it is `omega0`, or 30 with "auto".
        scale: multiplies W of every layer but the head at the start. 1 is the paper's; above 1 learns fine
            detail sooner ("weight scaling", arXiv 2410.04779) and, too high, invents it between the samples.
        samples: along the longest side, h = 2 / (samples - 1) apart; what "auto" goes by.

    Raises:
        UserError: a frequency or scale that is not positive, or "auto" without samples.

    >>> import torch
    >>> value, slope, curvature = Sine(omega0=2.0)(torch.zeros(1), order=2)
    >>> value.item(), slope.item(), abs(curvature.item())
    (0.0, 2.0, 0.0)
    """

    def __init__(
        self,
        omega0: float | Sequence[float] | Literal["auto"] = 30.0,
        hidden_omega0: float | None = None,
        scale: float = 1.0,
        samples: int | None = None,
    ) -> None:
        super().__init__()
        if omega0 == "auto":
            hidden_omega0 = 30.0 if hidden_omega0 is None else hidden_omega0
            omega0 = (integer("activation.samples, which omega0=auto goes by,", samples, least=2) - 1) / 8
        each = list(omega0) if isinstance(omega0, Sequence) and not isinstance(omega0, str) else [omega0]
        require(bool(each), "activation.omega0 must be a number, or a list of one for each axis, not []")
        self.omegas = [positive("activation.omega0", omega) for omega in each]
        self.omega0 = max(self.omegas)
        hidden = self.omega0 if hidden_omega0 is None else hidden_omega0
        self.hidden_omega0 = positive("activation.hidden_omega0", hidden)
        self.scale = positive("activation.scale", scale)

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(sin(w0 z), w0 cos(w0 z), -w0^2 sin(w0 z))[:order + 1], each shaped like z."""
        return kernel.sines(z, order, self._frequency(first))

    def layer(self, jet: Jet, weight: Tensor, bias: Tensor, first: bool = False) -> Jet:
        """The jet of ``sin(w0 (W h + b))``, as one operation."""
        if type(self).forward is not Sine.forward:  # a subclass with a function of its own
            return super().layer(jet, weight, bias, first)
        return kernel.layer(jet, weight, bias, self._frequency(first))

    def _frequency(self, first: bool) -> float:
        return self.omega0 if first else self.hidden_omega0

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """W ~ U(-1/n, 1/n) in a first layer, U(-sqrt(6/n)/w0, sqrt(6/n)/w0) in a hidden one, times `scale`.

        With n inputs. b ~ U(-1/sqrt(n), 1/sqrt(n)), torch.nn.Linear's own, as in the authors' code. At scale 1 the
        weights' part w0 W h of a hidden pre-activation is standard normal, as the supplement's sec. 1 claims of the
        whole; the biases add a variance of w0^2 / (3n), which the paper leaves out, and bring the outputs nearer to
        the arcsine distribution.
        """
        n = layer.in_features
        bound = 1 / n if first else math.sqrt(6 / n) / self.hidden_omega0
        uniform_(layer.weight, bound * self.scale)
        if first and len(self.omegas) > 1:
            many = f"activation.omega0 has {len(self.omegas)} frequencies, and there are {n} axes; give one for each"
            require(len(self.omegas) == n, many)
            with torch.no_grad():
                layer.weight *= layer.weight.new_tensor(self.omegas) / self.omega0

    def initialize_head(self, layer: nn.Linear) -> None:
        """As a hidden layer's, without `scale`: the start is a quiet picture whatever the scale."""
        uniform_(layer.weight, math.sqrt(6 / layer.in_features) / self.hidden_omega0)
