"""How the channels of a field make unknowns of a least-squares problem, as the terms' residuals allow.

Each channel by itself (a picture's: one matrix, a right side per channel), as real and imaginary part of complex
numbers (half the unknowns, each complex), or anyhow (all weights of all channels together).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

_SAME = 1e-9  # relative: of numbers that are equal but for rounding in float64


class Layout(ABC):
    """How the C channels of a field make unknowns: of F features, F' unknowns for each of B right sides."""

    def __init__(self, channels: int) -> None:
        self.channels = channels

    @abstractmethod
    def admits(self, alone: Tensor) -> bool:
        """Whether a term is of this kind.

        Args:
            alone: (C, n, R), what the linear part of its residual gives of one function that stands in each of the
                channels in turn, the others 0.
        """

    def placed(self, part: Tensor) -> Tensor:
        """Fields of one feature each, (F', n, C, ..), from a part of the features' jet, (n, F, ..)."""
        rows = part.movedim(1, 0).unsqueeze(2)
        return torch.cat([rows, rows.new_zeros(*rows.shape[:2], self.channels - 1, *rows.shape[3:])], dim=2)

    @abstractmethod
    def rows(self, residual: Tensor) -> Tensor:
        """(.., B, rows) of residuals (.., n, R), one right side each where only that of a field of `placed` counts."""

    @abstractmethod
    def head(self, w: Tensor) -> Tensor:
        """(C, F) weights of the head from unknowns (F', B)."""

    @abstractmethod
    def unknowns(self, head: Tensor) -> Tensor:
        """(F', B) from (C, F): the inverse of `head`."""


class Channels(Layout):
    """Every channel by itself, by one and the same map."""

    def admits(self, alone: Tensor) -> bool:
        """Nothing in other channels, and the same in each."""
        if alone.shape[-1] % self.channels:
            return False
        parts = self.rows(alone)  # (C, C, rows)
        own = parts.diagonal(dim1=0, dim2=1).mT
        return _same(own, own[:1].expand_as(own)) and _same(parts, torch.diag_embed(own.mT).movedim(0, -1))

    def rows(self, residual: Tensor) -> Tensor:
        """(.., C, n R / C)."""
        return residual.unflatten(-1, (self.channels, -1)).movedim(-2, -3).flatten(-2)

    def head(self, w: Tensor) -> Tensor:
        """(C, F)."""
        return w.mT

    def unknowns(self, head: Tensor) -> Tensor:
        """(F, C)."""
        return head.mT


class Complex(Layout):
    """Two channels, real and imaginary part, and a complex-linear map; residuals in pairs alike."""

    def admits(self, alone: Tensor) -> bool:
        """i times as much of an imaginary part as of a real one."""
        if self.channels != 2 or alone.shape[-1] % 2:
            return False
        real, imaginary = self.rows(alone).unbind(0)
        return _same(imaginary, 1j * real)

    def rows(self, residual: Tensor) -> Tensor:
        """(.., 1, n R / 2), complex."""
        return torch.view_as_complex(residual.unflatten(-1, (-1, 2)).contiguous()).flatten(-2).unsqueeze(-2)

    def head(self, w: Tensor) -> Tensor:
        """(2, F)."""
        return torch.view_as_real(w.squeeze(1)).mT

    def unknowns(self, head: Tensor) -> Tensor:
        """(F, 1), complex."""
        return torch.complex(*head).unsqueeze(1)


class Coupled(Layout):
    """Any other affine map: C F unknowns."""

    def admits(self, alone: Tensor) -> bool:
        """All."""
        return True

    def placed(self, part: Tensor) -> Tensor:
        """(C F, n, C, ..): every feature in every channel in turn."""
        rows = part.movedim(1, 0)
        each = []
        for channel in range(self.channels):
            fields = rows.new_zeros(*rows.shape[:2], self.channels, *rows.shape[2:])
            fields[:, :, channel] = rows
            each.append(fields)
        return torch.cat(each)

    def rows(self, residual: Tensor) -> Tensor:
        """(.., 1, n R)."""
        return residual.flatten(-2).unsqueeze(-2)

    def head(self, w: Tensor) -> Tensor:
        """(C, F)."""
        return w.reshape(self.channels, -1)

    def unknowns(self, head: Tensor) -> Tensor:
        """(C F, 1)."""
        return head.reshape(-1, 1)


def _same(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _SAME * one.abs().max())
