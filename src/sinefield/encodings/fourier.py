"""Random Fourier features: ``x -> (sin(2 pi B x), cos(2 pi B x))`` with B ~ N(0, sigma^2).

Source: Tancik et al., Fourier Features Let Networks Learn High Frequency Functions, arXiv 2006.10739, sec. 4.
"""

import math

import torch

from sinefield.encodings.base import Waves
from sinefield.errors import integer, positive


class Fourier(Waves):
    """``x -> (sin(2 pi B x), cos(2 pi B x))``, F = 2 `frequencies`.

    Args:
        in_features: D, the number of coordinates.
        frequencies: the number of rows of B.
        sigma: standard deviation of B, in cycles per unit of coordinate. The paper's 10 is for coordinates in
            [0, 1]; over [-1, 1] the same picture needs 5.

    >>> Fourier(in_features=2, frequencies=64).features
    128
    """

    def __init__(self, in_features: int, frequencies: int = 128, sigma: float = 5.0) -> None:
        rows = integer("encoding.frequencies", frequencies, least=1)
        sigma = positive("encoding.sigma", sigma)
        super().__init__(2 * math.pi * sigma * torch.randn(rows, in_features))
