"""SIREN²: the sine of SIREN, its first two layers started with noise as strong as the signal is busy.

    W_l <- W_l + N(0, (s_l / w0)^2), l = 0, 1        s_0 = 50 (1 - exp(-5 psi)),  s_1 = 0.4 psi
    psi = 2 sum_k k |y_k| / sum_k |y_k|,  y the Fourier transform of a row, k in cycles per sample: the centroid

psi is averaged over rows and channels, between 0 and 1. Source: Chandravamsi et al., Spectral Bottleneck in Deep Neural
Networks: Noise is All You Need, arXiv 2509.09719, with the constants of the authors' code for pictures; for C channels
that code divides psi by C where it is found and by sqrt(C) where it is used, so here the same.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from sinefield.activations.base import Activation
from sinefield.activations.sine import Sine
from sinefield.core.jet import Derivatives, Jet
from sinefield.errors import positive


class Siren2(Activation):
    """``s(z) = sin(w0 z)`` with noise in the weights of the first two layers; behind an encoding's waves as SIREN.

    Args:
        omega0: w0 of all layers.
        centroid: psi, divided by C sqrt(C) for C channels.
        first_noise: what s_0 tends to; 50 for pictures, 3500 for sound on [-1, 1].
        steepness: of s_0; 5 for pictures, 7 for sound.
        second_noise: s_1 / psi; 0.4 for pictures, 3 for sound.
    """

    def __init__(
        self,
        omega0: float = 30.0,
        centroid: float = 0.2,
        first_noise: float = 50.0,
        steepness: float = 5.0,
        second_noise: float = 0.4,
    ) -> None:
        super().__init__()
        self.sine = Sine(omega0)
        psi = positive("activation.centroid", centroid)
        reach = 1 - math.exp(-positive("activation.steepness", steepness) * psi)
        noise = (
            positive("activation.first_noise", first_noise) * reach,
            psi * positive("activation.second_noise", second_noise),
        )
        self.noise = tuple(s / self.sine.omega0 for s in noise)
        self.second = False  # whether the next layer to be started is the second

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> Derivatives:
        """(sin(w0 z), w0 cos(w0 z), -w0^2 sin(w0 z))[:order + 1], each shaped like z."""
        return cast("Derivatives", self.sine(z, order, first))

    def layer(self, jet: Jet, weight: Tensor, bias: Tensor, first: bool = False) -> Jet:
        """The jet of ``sin(w0 (W h + b))``, as one operation."""
        return self.sine.layer(jet, weight, bias, first)

    def initialize(self, layer: nn.Linear, first: bool) -> None:
        """As `Sine`, and the noise in a first layer and in the one after it."""
        self.sine.initialize(layer, first)
        if first or self.second:
            with torch.no_grad():
                layer.weight += self.noise[not first] * torch.randn_like(layer.weight)
        self.second = first

    def initialize_head(self, layer: nn.Linear) -> None:
        """As `Sine`."""
        self.sine.initialize_head(layer)


def spectral_centroid(rows: Tensor) -> float:
    """psi / (C sqrt(C)) of rows (R, W, C), as `Siren2` takes it; 0.01 at least, which a blank signal has not.

    >>> wave = torch.cos(torch.pi * torch.arange(64) / 2)  # half of the highest frequency
    >>> round(spectral_centroid(wave[None, :, None]), 3)
    0.5
    """
    spectrum = torch.fft.rfft(rows.double(), dim=1).abs()
    cycles = torch.fft.rfftfreq(rows.shape[1], dtype=torch.float64)[:, None]
    centroids = (spectrum * cycles).sum(1) / spectrum.sum(1).clamp(min=1e-12)
    return max(0.01, 2 * centroids.mean().item() / rows.shape[-1] ** 1.5)
