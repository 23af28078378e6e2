"""Fourier features of all directions alike, whose frequencies are spread evenly up to a highest one.

    x -> (sin(2 pi B x), cos(2 pi B x))        b = r u,  r = highest U(0, 1)^exponent,  u ~ U(unit sphere)

In D dimensions their density falls, at exponent 1, as ``|b|^(1 - D)``: in the plane as 1/|b|, like the amplitudes of
natural pictures (Field, Relations between the statistics of natural images, 1987). At exponent 1 / D it is constant,
as an equation wants it. A layer of sines behind them is what SIREN is with a first layer that is not trained. The rows
of B are points of a scrambled Sobol sequence (Owen, Scrambling Sobol' points, 1998), of which a few hundred cover the
ball more evenly than as many independent ones.
"""

import math

import torch
from torch.quasirandom import SobolEngine

from sinefield.encodings.base import Waves
from sinefield.errors import integer, positive


class Radial(Waves):
    """``x -> (sin(2 pi B x), cos(2 pi B x))``, F = 2 `frequencies`.

    Args:
        in_features: D, the number of coordinates.
        frequencies: the number of rows of B.
        highest: the length that those of the rows stay below, in cycles per unit of coordinate; None for 0.08
            `samples`, a third of their Nyquist rate, and 64 at most: a few hundred waves do not cover more.
        last: the same along the last axis, where it is not as the others: the rows lie in an ellipsoid, as of a film,
            whose time has another scale. None for `highest`.
        samples: of the signal along its longest side.
        exponent: of the lengths' distribution: 1 spreads them evenly, 1 / D the rows evenly over the ball.
        seed: of the sequence; None for one drawn from torch's generator. By it the rows can be made again.

    >>> Radial(in_features=2, frequencies=192, highest=20.0).features
    384
    """

    def __init__(
        self,
        in_features: int,
        frequencies: int = 192,
        highest: float | None = None,
        samples: int = 256,
        exponent: float = 1.0,
        last: float | None = None,
        seed: int | None = None,
    ) -> None:
        rows = integer("encoding.frequencies", frequencies, least=1)
        if highest is None:
            highest = min(0.08 * integer("encoding.samples", samples, least=2), 64.0)
        along = torch.full((in_features,), positive("encoding.highest", highest), dtype=torch.float64)
        if last is not None:
            along[-1] = positive("encoding.last", last)
        seed = int(torch.randint(2**31, ())) if seed is None else integer("encoding.seed", seed, least=0)
        points = SobolEngine(1 + in_features, scramble=True, seed=seed).draw(rows, dtype=torch.float64)
        radius = points[:, :1] ** positive("encoding.exponent", exponent)
        normal = torch.special.ndtri(points[:, 1:].clamp(1e-9, 1 - 1e-9))
        super().__init__(2 * math.pi * along * radius * normal / normal.norm(dim=1, keepdim=True))
        self.highest, self.exponent, self.seed = float(along[0]), float(exponent), seed
