"""Cosines under smooth windows, block beside block: an orthonormal basis of the samples, and a function everywhere.

    f(x) = m + U sum_bkl a_bkl psi_b1,k(y_1) psi_b2,l(y_2)      y = (p + 1/2) / M,  p the position of x in pixels
    psi_b,k(y) = sqrt(2 / M) w_b(y) cos(pi (k + 1/2) (y - b))   in the last block of an axis cos(pi k (y - b))
    w_b(y) = sin(pi/2 S(y - b + 1/2)) sin(pi/2 S(b + 3/2 - y))  S(t) = t^3 (10 - 15 t + 6 t^2), 0 to 1

Neighbouring windows overlap over half a block on either side, and their squares sum to 1; the picture's borders have no
overlap. At the samples the psi are orthonormal (Princen-Bradley), so the best coefficients are inner products, and an
error of the coefficients is as large as that of the samples. In between f has two continuous derivatives. It is a
partition of sine networks without hidden layers: many fixed waves, of which each place has its own amplitudes.
Source: Coifman & Meyer, Remarques sur l'analyse de Fourier à fenêtre, C. R. Acad. Sci. 312 (1991); Malvar, Lapped
transforms for efficient transform/subband coding, IEEE Trans. ASSP 38 (1990).
"""

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from sinefield.core.jet import Jet, coordinates, sums
from sinefield.errors import integer, require
from sinefield.fields.mlp import MOST


class LocalWaves(nn.Module):
    """f: R^2 -> R^C over the H x W samples of a picture.

    Args:
        shape: (H, W); the longest side spans [-1, 1] from its first sample's centre to its last one's.
        channels: C.
        size: M, samples along a side of a block.

    Attributes:
        amplitudes: a, (rows of blocks, columns of blocks, M, M, C), by block, then frequency along y and x.
        colour: the linear map ``m + U a`` of the channels.

    >>> field = LocalWaves((20, 30), channels=3, size=8)
    >>> field.jet(torch.zeros(5, 2), order=2).laplacian.shape, field.amplitudes.shape
    (torch.Size([5, 3]), torch.Size([3, 4, 8, 8, 3]))
    """

    max_order = 2
    stack = torch.Size()

    def __init__(self, shape: tuple[int, int], channels: int, size: int = 32) -> None:
        super().__init__()
        self.shape = tuple(integer("shape", n, least=2) for n in shape)
        self.size = integer("size", size, least=2)
        self.blocks = tuple(-(-n // self.size) for n in self.shape)
        channels = integer("channels", channels, least=1)
        many = math.prod(self.blocks) * self.size**2 * channels
        require(many <= MOST, f"shape={self.shape} makes {many:,} amplitudes, of {MOST:,} at most")
        self.amplitudes = nn.Parameter(torch.zeros(*self.blocks, self.size, self.size, channels))
        self.colour = nn.Linear(channels, channels)

    @property
    def head(self) -> Any:
        """As of a network's last layer: what the waves of a place, 2M x 2M of each channel, are mapped by."""
        return SimpleNamespace(
            in_features=4 * self.size**2, out_features=self.colour.out_features, weight=self.colour.weight
        )

    @property
    def activation(self) -> "LocalWaves":
        """None of its own: reports name what stands here."""
        return self

    def jet(self, x: Tensor, order: int, operators: Tensor | None = None) -> Jet:
        """Value (N, C), gradient (N, C, 2), second derivatives (N, C, M'); arguments as of `CoordinateMLP.jet`."""
        height, width = self.shape
        half, scale = x.new_tensor([width - 1, height - 1]) / 2, (max(self.shape) - 1) / 2  # in pixels, per unit
        y = (x * scale + half + 0.5) / self.size  # in blocks, (column, row)
        most = torch.tensor([max(0, n - 2) for n in reversed(self.blocks)], device=x.device)
        columns, rows = (y.detach() - 0.5).floor().long().clamp(min=0).minimum(most).unbind(1)  # first of two blocks
        across = windowed(y[:, 0], columns, self.blocks[1], self.size, order)
        down = windowed(y[:, 1], rows, self.blocks[0], self.size, order)
        depths = [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2)][: (1, 3, 5)[order]]  # along x, along y
        ordered, index = (rows * self.blocks[1] + columns).sort(stable=True)
        cells, counts = ordered.unique_consecutive(return_counts=True)
        found = [
            self._inside(cell // self.blocks[1], cell % self.blocks[1], across, down, points, depths)
            for cell, points in zip(cells.tolist(), index.split(counts.tolist()), strict=True)
        ]
        order_back = torch.empty_like(index).scatter_(0, index, torch.arange(len(index), device=index.device))
        parts = torch.cat(found, dim=1)[:, order_back] if found else x.new_zeros(len(depths), 0, self.head.out_features)
        unit = scale / self.size  # blocks per unit of coordinate
        value = nn.functional.linear(parts[0], self.colour.weight, self.colour.bias)
        turned = [nn.functional.linear(part, self.colour.weight) for part in parts[1:]]
        jets = [value, *(torch.stack(turned[i : i + 2], dim=-1) * unit ** (1 + i // 2) for i in (0, 2)[:order])]
        if order == 2:
            jets[2] = sums(jets[2].movedim(-1, -3), operators).movedim(-3, -1)
        return coordinates(x, min(order, 2), operators).of(jets)

    def _inside(
        self, row: int, column: int, across: list[Tensor], down: list[Tensor], points: Tensor, depths: list[Any]
    ) -> Tensor:
        """(depths, n, C): the sums over the waves of up to 2 x 2 blocks, differentiated so often along x and y."""
        own = self.amplitudes[row : row + 2, column : column + 2]
        rows, columns = own.shape[:2]
        matrix = own.permute(0, 2, 1, 3, 4).reshape(rows * self.size, columns * self.size * own.shape[-1])
        vertical = [part[points, : rows * self.size] @ matrix for part in down]
        horizontal = [part[points, : columns * self.size] for part in across]
        return torch.stack(
            [
                torch.einsum("nlc,nl->nc", vertical[j].unflatten(1, (columns * self.size, -1)), horizontal[i])
                for i, j in depths
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (..., C) at coordinates x: (..., 2)."""
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*x.shape[:-1], value.shape[-1])


def windowed(y: Tensor, first: Tensor, blocks: int, size: int, order: int) -> list[Tensor]:
    """psi, psi', psi'' of the blocks `first` and the one behind it at y, (N, 2M) each, as many as `order` asks.

    Args:
        y: (N,) in blocks.
        first: (N,), numbers of blocks.
        blocks: along the axis.
        size: M.
        order: 0, 1 or 2, per block.
    """
    b = first.unsqueeze(-1) + torch.arange(2, device=y.device)  # (N, 2)
    t = y.unsqueeze(-1) - b
    one = [torch.ones_like(t), torch.zeros_like(t), torch.zeros_like(t)]
    left = [torch.where(b > 0, part, no) for part, no in zip(_rise(t + 0.5, 1), one, strict=True)]
    right = [torch.where(b < blocks - 1, part, no) for part, no in zip(_rise(1.5 - t, -1), one, strict=True)]
    window = _product(left, right)
    k = torch.arange(size, device=y.device, dtype=y.dtype)
    last = (b == blocks - 1).unsqueeze(-1)
    frequency = math.pi * torch.where(last, k, k + 0.5)  # (N, 2, M)
    height = math.sqrt(2 / size) * torch.where(last & (k == 0), math.sqrt(0.5), 1.0)
    angle = frequency * t.unsqueeze(-1)
    wave = [height * angle.cos(), -height * frequency * angle.sin(), -height * frequency.square() * angle.cos()]
    return [part.flatten(1) for part in _product([part.unsqueeze(-1) for part in window], wave)[: order + 1]]


def _rise(t: Tensor, sign: int) -> list[Tensor]:
    """sin(pi/2 S(t)) and its first two derivatives by a y that t grows or falls with, `sign`."""
    t = t.clamp(0, 1)
    angle = math.pi / 2 * t**3 * (10 - 15 * t + 6 * t**2)
    slope, bend = 15 * math.pi * (t * (1 - t)) ** 2, 30 * math.pi * t * (1 - t) * (1 - 2 * t)
    return [angle.sin(), sign * angle.cos() * slope, angle.cos() * bend - angle.sin() * slope**2]


def _product(f: list[Tensor], g: list[Tensor]) -> list[Tensor]:
    """f g, (f g)', (f g)''."""
    return [f[0] * g[0], f[1] * g[0] + f[0] * g[1], f[2] * g[0] + 2 * f[1] * g[1] + f[0] * g[2]]


def basis(samples: int, size: int) -> Tensor:
    """(blocks M, blocks M) in float64: psi_b,k, b M + k along the columns, at the samples, an orthonormal matrix."""
    blocks = -(-samples // size)
    y = (torch.arange(blocks * size, dtype=torch.float64) + 0.5) / size
    first = (y - 0.5).floor().long().clamp(0, max(0, blocks - 2))
    found = windowed(y, first, blocks, size, 0)[0]
    matrix = torch.zeros(len(y), (blocks + 1) * size, dtype=torch.float64)
    return matrix.scatter_(1, first.unsqueeze(-1) * size + torch.arange(2 * size), found)[:, : blocks * size]
