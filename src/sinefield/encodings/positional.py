"""NeRF's positional encoding: ``x -> (x, sin(2^k pi x), cos(2^k pi x))`` for k = 0 .. L-1, per coordinate.

Source: Mildenhall et al., NeRF, arXiv 2003.08934, eq. 4; the number of frequencies L that the sampling can carry
as in the SIREN authors' code: with n samples over [-1, 1] the Nyquist rate is n/4 cycles per unit, and
L = floor(log2(n / 4)).
"""

import math

import torch

from sinefield.core.jet import Jet, concatenate
from sinefield.encodings.base import Waves
from sinefield.errors import integer, require


class Positional(Waves):
    """``x -> (x, sin(2^k pi x), cos(2^k pi x))``, F = D (1 + 2L).

    Args:
        in_features: D, the number of coordinates.
        samples: n, how many samples the signal has along its longest side; sets L where `frequencies` is None.
        frequencies: L, the number of octaves.

    >>> Positional(in_features=2, samples=256).features
    26
    """

    def __init__(self, in_features: int, samples: int | None = None, frequencies: int | None = None) -> None:
        if frequencies is None:
            require(samples is not None, "encoding: give either samples or frequencies")
            frequencies = max(1, math.floor(math.log2(integer("encoding.samples", samples, least=2) / 4)))
        octaves = 2.0 ** torch.arange(integer("encoding.frequencies", frequencies, least=1))
        super().__init__(math.pi * torch.kron(octaves[:, None], torch.eye(in_features)))  # (L D, D)
        self.features += in_features

    def forward(self, jet: Jet) -> Jet:
        """The jet of the F features, from the jet of the D coordinates."""
        return concatenate([jet, super().forward(jet)])
