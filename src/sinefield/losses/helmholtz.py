"""The Helmholtz equation with absorbing layers, of a complex field u in two channels.

    r = a_xx u_xx + a_yy u_yy + a_x u_x + a_y u_y + a u - s

with the complex coefficients and the source of signals/helmholtz.py, the product rule carried out: the layers weigh the
two second derivatives unlike, so both are needed. Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2, supplement 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals import helmholtz
    from sinefield.signals.base import Signal


class Helmholtz(Equation):
    """The residual at random points of the box, some of them around the sources: ``|r|^2 / k^4``.

    Args:
        weight: multiplies the term.
        count: points per step, uniform in the box.
        near: more points, around the sources.
    """

    order = 2
    operators = torch.eye(2)
    affine = True

    def __init__(self, weight: Weight = 1.0, count: int = 4096, near: int = 512) -> None:
        super().__init__(weight)
        self.count, self.near = integer("the count of a term", count, least=1), integer("near of a term", near, least=0)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count + near, 2): the latter normal, twice as wide as the sources, around each in turn."""
        signal = _equation(signal)
        x = signal.uniform(self.count, generator)
        places = x.new_tensor([source[:2] for source in signal.sources])
        normal = torch.randn(self.near, 2, generator=generator, device=x.device, dtype=x.dtype)
        around = places[torch.arange(self.near, device=x.device) % len(places)]
        return torch.cat([x, around + 2 * signal.variance**0.5 * normal])

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(N, 12), the six complex coefficients over k^2, real and imaginary parts in turn."""
        signal = _equation(signal)
        parts = signal.coefficients(x, self.cell) / signal.k**2
        return Jet(torch.view_as_real(parts).flatten(1).to(x))

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 2), real and imaginary part."""
        assert field.gradient is not None
        assert field.second is not None
        parts = torch.view_as_complex(known.value.unflatten(-1, (6, 2))).unbind(-1)
        derivatives = (*field.second.unbind(-1), *field.gradient.unbind(-1), field.value)  # (.., N, 2) each
        found = -parts[5]
        for a, d in zip(parts[:5], derivatives, strict=True):
            found = found + a * torch.view_as_complex(d.contiguous())
        return torch.view_as_real(found)


class Absolute(Helmholtz):
    """The paper's: ``|Re r| + |Im r|`` instead of squares, `boost` times as much where there is a source.

    Args:
        weight, count, near: as of `Helmholtz`.
        boost: the paper's count of points over 1000.
    """

    affine = False

    def __init__(self, weight: Weight = 1.0, count: int = 52900, near: int = 100, boost: float = 52.9) -> None:
        super().__init__(weight, count, near)
        self.boost = positive("boost of a term", boost)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(N, 13), the coefficients, and the factor of a point."""
        source = _equation(signal).sources_at(x).abs() > 1e-5  # the authors' threshold
        return Jet(torch.cat([super().known(signal, x).value, torch.where(source, self.boost, 1.0).to(x)[:, None]], 1))

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 2), times the factor."""
        factor = known.value[..., 12:]
        return factor * super().residual(field, known.map(lambda part: part[..., :12].contiguous()), x)

    def __call__(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N,)."""
        return self.residual(field, known, x).abs().sum(-1)


def _equation(signal: Signal) -> helmholtz.Helmholtz:
    require(hasattr(signal, "coefficients"), "a term of the Helmholtz equation needs signal=helmholtz")
    return cast("helmholtz.Helmholtz", signal)
