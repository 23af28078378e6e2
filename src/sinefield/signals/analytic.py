"""A signal in closed form: sums of plane waves and Gaussians, with exact derivatives; for tests and demonstrations.

wave      w = a sin(k . x + phi)                  gradient a k cos(k . x + phi)     Laplacian -|k|^2 w
Gaussian  g = a exp(-|x - m|^2 / (2 sigma^2))     gradient -g (x - m) / sigma^2     Laplacian
                                                                 g (|x - m|^2 / sigma^4 - D / sigma^2)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sinefield.core.jet import BLOCK, Jet
from sinefield.errors import integer, positive, require
from sinefield.signals.base import Signal


class Analytic(Signal):
    """A sum of plane waves and Gaussians on a square, the same in every channel but for its phase or centre.

    Args:
        size: samples along each side.
        waves: (amplitude, wavenumbers (k_x, k_y) in radians per unit of coordinate, phase in radians), each.
        gaussians: (amplitude, centre (x, y), sigma in units of coordinate), each.
        channels: C, of a run 1 or 3; channel c shifts every wave's phase by c and every Gaussian's centre by 0.1 c.

    >>> signal = Analytic(size=8, waves=[(0.5, (3.0, 4.0), 0.0)], gaussians=[])
    >>> jet = signal.jet(torch.tensor([[0.1, 0.2]]), order=2)
    >>> torch.allclose(jet.laplacian, -25 * jet.value)
    True
    """

    k: Tensor
    m: Tensor
    wave_terms: Tensor
    gauss_terms: Tensor

    def __init__(
        self,
        size: int = 128,
        waves: Sequence[tuple[float, Sequence[float], float]] = ((0.3, (9.0, 4.0), 0.0), (0.2, (-5.0, 14.0), 1.0)),
        gaussians: Sequence[tuple[float, Sequence[float], float]] = ((0.5, (0.2, -0.3), 0.3),),
        channels: int = 1,
    ) -> None:
        super().__init__((integer("signal.size", size, least=4),) * 2, integer("signal.channels", channels, least=1))
        vectors = [*(k for _, k, _ in waves), *(m for _, m, _ in gaussians)]
        require(all(len(v) == self.dims for v in vectors), "signal: give wavenumbers and centres as [x, y]")
        heights = [(a, positive("signal.gaussians' sigma", sigma)) for a, _, sigma in gaussians]
        for name, rows in (
            ("k", [list(k) for _, k, _ in waves]),
            ("m", [list(m) for _, m, _ in gaussians]),
            ("wave_terms", [(a, phase) for a, _, phase in waves]),
            ("gauss_terms", heights),
        ):
            self.register_buffer(name, torch.tensor(rows).reshape(-1, 2))

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, D) and Laplacian (N, C) at coordinates x (N, D), as deep as `order` asks."""
        c = torch.arange(self.channels, device=x.device, dtype=x.dtype)[:, None]
        amplitude, phase = self.wave_terms.to(x.dtype).unbind(1)
        k = self.k.to(x.dtype)
        angle = (x @ k.T + phase)[:, None] + c  # (N, C, waves)
        wave, slope = amplitude * angle.sin(), amplitude * angle.cos()
        height, sigma = self.gauss_terms.to(x.dtype).unbind(1)
        away = x[:, None, None] - self.m.to(x.dtype) - 0.1 * c[..., None]  # (N, C, Gaussians, D)
        square = away.square().sum(-1)
        bell = height * (-square / (2 * sigma**2)).exp()
        parts = [wave.sum(-1) + bell.sum(-1)]
        if order >= 1:
            parts.append(slope @ k - (bell / sigma**2).unsqueeze(-2).matmul(away).squeeze(-2))
        if order >= 2:
            curvature = bell * (square / sigma**4 - self.dims / sigma**2)
            parts.append((curvature.sum(-1) - (wave * k.square().sum(1)).sum(-1)).unsqueeze(-1))
        return Jet(*parts)

    def held_out_grid(self) -> Tensor:
        """The closed form on the grid twice as fine, (2H-1, 2W-1, C)."""
        values = [self.jet(x, order=0).value for x in self.grid(upsampling=2).split(BLOCK)]
        return torch.cat(values).reshape(*self.fine_shape(2), self.channels)
