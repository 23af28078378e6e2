"""A picture whose derivatives are difference stencils, as most codes take them: what exact ones are compared with.

    d/dx = [-1 0 1] / 2h along x, a weighted mean of three rows across it      lap = [1 -2 1] / h^2 along x and along y

(1, 2, 1) across is Sobel's operator, (3, 10, 3) Scharr's, (0, 1, 0) the central difference. Their transfer functions at
wavenumber k along x are ``i sin(kh) / h`` and ``-4 sin^2(kh / 2) / h^2`` instead of ``ik`` and ``-k^2``: fine detail is
damped, and Sobel's two components are no picture's gradient. Source: Jähne, Digital Image Processing (2005), ch. 12.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require
from sinefield.signals import spline
from sinefield.signals.image import Image


class Stencil(Image):
    """A picture file whose derivatives are differences of its samples; between them, the spline through their values.

    Args:
        path, picture: as `Image` takes them.
        across: weights of the three rows that a derivative is averaged over; divided by their sum.

    Raises:
        UserError: as `Image`, and for weights that are not three numbers with a positive sum.
    """

    potential = False
    derived: Tensor

    def __init__(self, path: str | Path, *, across: Sequence[float] = (1, 2, 1), **picture: Any) -> None:
        super().__init__(path, **picture)
        numbers = isinstance(across, list | tuple) and all(type(w) in (int, float) for w in across)
        valid = numbers and len(across) == 3 and sum(across) > 0
        require(valid, f"signal.across must be three numbers with a positive sum, [1,2,1], not {across!r}")
        samples = super().samples().value.double().numpy().reshape(*self.shape, -1)
        values = np.concatenate(differences(samples, across), axis=2)
        derived = spline.coefficients(values, self.degree)
        self.register_buffer("derived", torch.from_numpy(derived).to(self.c.dtype))

    def jet(self, x: Tensor, order: int) -> Jet:
        """The spline's value (N, C), and the stencils' gradient (N, C, 2) and Laplacian (N, C) at x (N, 2)."""
        jet = super().jet(x, 0)
        if order == 0:
            return jet
        flat = spline.evaluate(self.derived, self.pixels(x), self.degree, 0).value
        across, down, laplacian = flat.unflatten(1, (3, self.channels)).unbind(1)
        gradient = torch.stack([across, down], dim=-1) / self.spacing
        return Jet(jet.value, gradient, laplacian.unsqueeze(-1) / self.spacing**2 if order >= 2 else None)

    def integral(self, start: Tensor, end: Tensor) -> Tensor:
        """(N, C), along the lines from start (N, 2) to end (N, 2): Gauss's two-point rule, once per spacing."""
        parts = ((end - start).norm(dim=1) / self.spacing).ceil().clamp(min=1).long()
        line = torch.repeat_interleave(2 * parts)
        number = torch.arange(len(line), device=line.device) - 2 * (parts.cumsum(0) - parts)[line]
        middle = number // 2 + 0.5 + (number % 2 - 0.5) / 3**0.5
        t = middle.to(start.dtype) / parts[line]
        gradient = self.jet(start[line].lerp(end[line], t[:, None]), 1).gradient
        assert gradient is not None
        along = torch.einsum("ncd,nd->nc", gradient, (end - start)[line])
        return torch.segment_reduce(along, "mean", lengths=2 * parts)


def differences(samples: np.ndarray, across: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """d/dx, d/dy and the five-point Laplacian of samples (H, W, C), (H, W, C) each, per spacing and per spacing^2.

    Beyond the border the samples go on antisymmetrically, which makes the differences there one-sided.

    >>> ramp = np.arange(4.0)[None, :, None] * np.ones((4, 1, 1))
    >>> [float(part.min()) for part in differences(ramp, (1, 2, 1))]
    [1.0, 0.0, 0.0]
    """
    wide = np.pad(samples, ((1, 1), (1, 1), (0, 0)), mode="reflect", reflect_type="odd")
    smooth = np.asarray(across, dtype=float) / sum(across)
    rows = sum(w * wide[i : i + len(samples)] for i, w in enumerate(smooth))
    columns = sum(w * wide[:, i : i + samples.shape[1]] for i, w in enumerate(smooth))
    inner = wide[1:-1, 1:-1]
    around = wide[1:-1, 2:] + wide[1:-1, :-2] + wide[2:, 1:-1] + wide[:-2, 1:-1]
    return (rows[:, 2:] - rows[:, :-2]) / 2, (columns[2:] - columns[:-2]) / 2, around - 4 * inner
