"""The Laplacian: ``E|lap f - lap s|^2 / E|lap s|^2``; it leaves any harmonic function free.

Source: Sitzmann et al., arXiv 2006.09661, sec. 4.1 (Poisson image reconstruction), eq. 7.
"""

import math

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.losses.base import Term


class Laplacian(Term):
    """``|lap f - lap s|^2`` at every point, summed over channels, relative to that of the signal."""

    order = 2
    affine = True

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(N, C M)."""
        assert field.second is not None
        assert known.second is not None
        return (field.second - known.second).flatten(-2)

    def unseen(self, error: Tensor) -> Tensor:
        """The harmonic function with the error's border values, shaped like it."""
        return harmonic(error)


def harmonic(error: Tensor) -> Tensor:
    """The discrete harmonic function h with the border values of `error`: (H, W, C) to (H, W, C), or (D, H, W, C).

    Solves ``h[i-1,j] + h[i+1,j] + h[i,j-1] + h[i,j+1] - 4 h[i,j] = 0`` inside, of three axes with all six neighbours,
    h = error on the border, by sine transforms along all axes (Buzbee, Golub & Nielson 1970).

    >>> plane = torch.arange(5.0)[:, None, None] + 2 * torch.arange(7.0)[None, :, None]
    >>> bump = plane.clone()
    >>> bump[2, 3] += 1.0  # not seen from the border
    >>> torch.allclose(harmonic(bump), plane)
    True
    """
    result, axes = error.to(torch.float64).clone(memory_format=torch.contiguous_format), range(error.dim() - 1)
    inside = (slice(1, -1),) * len(axes)
    result[inside] = 0
    shifts = [[s if d == axis else slice(1, -1) for d in axes] for axis in axes for s in (slice(-2), slice(2, None))]
    load = torch.stack([result[tuple(shift)] for shift in shifts]).sum(dim=0)
    bases = [_sines(n, error.device) for n in load.shape[:-1]]
    total = torch.zeros((), dtype=torch.float64, device=error.device)
    for axis, (_, values) in enumerate(bases):
        total = total + values.reshape([-1 if d == axis else 1 for d in axes])
    spectrum = _transformed(load, bases) / total[..., None]
    result[inside] = _transformed(spectrum, bases)
    return result.to(error.dtype)


def _transformed(values: Tensor, bases: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The sine transform along all axes but the last, the channels."""
    for axis, (matrix, _) in enumerate(bases):
        values = torch.tensordot(matrix, values, dims=([1], [axis])).movedim(0, axis)
    return values


def _sines(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthogonal sine transform (n, n) and its eigenvalues (n,) of minus the second difference."""
    k = torch.arange(1, n + 1, dtype=torch.float64, device=device)
    angle = math.pi / (n + 1) * k
    return math.sqrt(2 / (n + 1)) * (angle[:, None] * k).sin(), 2 - 2 * angle.cos()
