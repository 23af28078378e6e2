"""What a signed distance function satisfies, at points on, near and off a surface.

    |f|                     on the surface
    1 - cos(grad f, n)      there, n the normals;  |grad f - n|  as IGR has it
    | |grad f| - 1 |        everywhere: the Eikonal equation
    exp(-a |f|)             off the surface: f is not small there
    (d_box - f)+            outside the cloud's bounding box, d_box the distance to it: f is no less
    | |f| - d_cloud |       anywhere, d_cloud the distance to the nearest point of the cloud

Each is a mean over its own set of points. Sources: Sitzmann et al., arXiv 2006.09661, eq. 6, whose code takes all means
over both of its sets together, so that a weight there is twice the one here; Gropp et al. (IGR), arXiv 2002.10099,
eq. 2; Atzmon & Lipman (SAL), arXiv 1911.10414, eq. 3. The last two keep f from vanishing where there is no surface:
d_box holds for every closed one, d_cloud up to the distance between the points, by which it is too large at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals.base import Signal

_ZERO = 1e-12  # of a gradient's length: keeps the derivative of a length finite


class SurfaceTerm(Equation):
    """A term at a named set of points of `signal=shape`.

    Args:
        weight: multiplies the term.
        at: surface, near or anywhere.
        count: points per step. Terms of one set and count share their points, and the field's jet there.
        squared: whether the residual's square is taken, or its absolute value.
    """

    def __init__(self, weight: Weight = 1.0, at: str = "surface", count: int = 1024, squared: bool = False) -> None:
        super().__init__(weight)
        self.at, self.count, self.squared = at, integer("the count of a term", count, least=1), squared
        self.place = (at, self.count)

    def __call__(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """|r| or r^2 of every point, (N,); summed over the residual's parts."""
        found = self.residual(field, known, x)
        return (found.square() if self.squared else found.abs()).sum(-1)

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(count, D)."""
        return cast("Tensor", self._set(signal).draw(self.count, generator))

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """On the surface the normals, (N, 3), or (N, 0); elsewhere the distances to box and cloud, (N, 2)."""
        return Jet(self._set(signal).at(x))

    def _set(self, signal: Any) -> Any:
        require(hasattr(signal, "sets"), "terms on a surface are for shapes; take signal=shape")
        known = ", ".join(signal.sets)
        require(self.at in signal.sets, f"the points of a term, at={self.at}, must be one of {known}")
        return signal.sets[self.at]


class OnSurface(SurfaceTerm):
    """``|f|``, of points of the surface."""

    affine = True

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        return field.value


class Normals(SurfaceTerm):
    """``1 - cos(grad f, n)``, of points of the surface."""

    order = 1

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        return 1 - functional.cosine_similarity(_gradient(field), _normals(known), dim=-1).unsqueeze(-1)


class NormalGradients(SurfaceTerm):
    """``|grad f - n|``, Euclidean, of points of the surface: IGR's."""

    order = 1

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        return length(_gradient(field) - _normals(known))


class Eikonal(SurfaceTerm):
    """``| |grad f| - 1 |``, or its square."""

    order = 1

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        return length(_gradient(field)) - 1


class OffSurface(SurfaceTerm):
    """``exp(-a |f|)``.

    Args:
        weight, count: as of `SurfaceTerm`.
        at: near or anywhere.
        sharpness: a, per unit of the box.
    """

    def __init__(self, weight: Weight = 1.0, at: str = "anywhere", count: int = 1024, sharpness: float = 100.0) -> None:
        super().__init__(weight, at, count)
        self.sharpness = positive("the sharpness of a term", sharpness)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        return (-self.sharpness * field.value.abs()).exp()


class Outside(SurfaceTerm):
    """``(d_box - f)+`` where d_box > 0; nothing is known elsewhere.

    Args:
        weight, count: as of `SurfaceTerm`.
        at: near or anywhere.
    """

    def __init__(self, weight: Weight = 1.0, at: str = "anywhere", count: int = 1024) -> None:
        super().__init__(weight, at, count)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        outside, _ = _distances(known)
        return torch.where(outside > 0, (outside - field.value).relu(), 0.0)


class CloudDistance(SurfaceTerm):
    """``| |f| - d_cloud |``, less `tolerance`; without the inner bars where d_box > 0, since f is positive there.

    Args:
        weight, count: as of `SurfaceTerm`.
        at: near or anywhere.
        tolerance: in units of the box: how far apart the points lie, and how far beside the surface.
    """

    def __init__(self, weight: Weight = 1.0, at: str = "anywhere", count: int = 1024, tolerance: float = 0.0) -> None:
        super().__init__(weight, at, count)
        require(tolerance >= 0, f"the tolerance of a term must be at least 0, not {tolerance!r}")
        self.tolerance = tolerance

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, 1)."""
        outside, distance = _distances(known)
        size = torch.where(outside > 0, field.value, field.value.abs())
        return ((size - distance).abs() - self.tolerance).relu()


def _distances(known: Jet) -> tuple[Tensor, Tensor]:
    """(.., N, 1) each, to the cloud's bounding box, 0 in it, and to the nearest of its points."""
    require(known.value.shape[-1] == 2, "distances are known near a surface and anywhere, not on it; take at=anywhere")
    outside, distance = known.value.split(1, dim=-1)
    return outside, distance


def length(v: Tensor) -> Tensor:
    """(.., N, 1), |v| of vectors (.., N, D), with a finite derivative at 0."""
    return (v.square().sum(-1, keepdim=True) + _ZERO**2).sqrt()


def _gradient(field: Jet) -> Tensor:
    """(.., N, 3), of the one channel."""
    assert field.gradient is not None
    return field.gradient.squeeze(-2)


def _normals(known: Jet) -> Tensor:
    cure = "take a loss that needs none: loss=digs or loss=steik"
    require(
        known.value.shape[-1] == 3, f"normals are known on the surface alone, and only of a cloud that has some; {cure}"
    )
    return known.value
