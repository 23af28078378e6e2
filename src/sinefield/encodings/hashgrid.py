"""A multiresolution hash grid: features at the points of L grids, linear between them, trained with the network.

    x -> (g_1(x), .., g_L(x)),      g_l(x) = sum_c prod_d hat(u_d - c_d) table_l[h(c)] over a cell's 2^D corners c
    u = N_l (x + 1) / 2,      N_l = floor(N_1 b^l),      b = (N_L / N_1)^(1 / (L - 1))
    h(c) = row-major number of c where the level's (N_l + 1)^D corners fit into T entries, else (xor_d c_d pi_d) mod T

Each feature is linear along every axis within a cell: it has first derivatives, which jump from cell to cell, and no
second ones along the axes. Source: Müller et al., Instant Neural Graphics Primitives with a Multiresolution Hash
Encoding, arXiv 2201.05989, eqs. 1 to 4, and its code's primes and start. Different here: plain torch, in the precision
of x; no auxiliary inputs.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sinefield.core import autocast
from sinefield.core.jet import Jet
from sinefield.core.lattice import chain, neighbours, products
from sinefield.encodings.base import Encoding
from sinefield.errors import integer, positive, require

# Of the authors' code, one for each axis; the first is 1, so that neighbours along an axis stay neighbours in memory.
PRIMES = (1, 2654435761, 805459861, 3674653429, 2097192037, 1434869437, 2165219737)


class HashGrid(Encoding):
    """L grids of trained features over [-1, 1]^D, F = L `per_level`; beyond the box they go on linearly.

    Args:
        in_features: D, the number of coordinates, at most 7.
        levels: L.
        per_level: features of each level.
        log2_entries: the binary logarithm of T, the most entries that a level's table has.
        coarsest, finest: N_1 and N_L, cells along an axis of the box; N_1 is N_L where that is less.

    >>> HashGrid(in_features=2, levels=16).features
    32
    """

    has_second_derivative: ClassVar[bool] = False
    cells: Tensor
    factors: Tensor
    hashed: Tensor
    starts: Tensor

    def __init__(
        self,
        in_features: int,
        levels: int = 16,
        per_level: int = 2,
        log2_entries: int = 14,
        coarsest: int = 16,
        finest: float = 128.0,
    ) -> None:
        super().__init__()
        dims, levels = (
            integer("encoding.in_features", in_features, least=1),
            integer("encoding.levels", levels, least=1),
        )
        require(dims <= len(PRIMES), f"encoding=hashgrid knows {len(PRIMES)} axes at most, not {dims}")
        per_level = integer("encoding.per_level", per_level, least=1)
        self.entries = 2 ** integer("encoding.log2_entries", log2_entries, least=1, most=28)
        last = max(1.0, positive("encoding.finest", finest))
        first = min(integer("encoding.coarsest", coarsest, least=1), last)
        growth = (math.log(last) - math.log(first)) / max(1, levels - 1)
        cells = [math.floor(first * math.exp(growth * level) + 1e-9) for level in range(levels)]
        corners = [(n + 1) ** dims for n in cells]
        dense = [[(n + 1) ** (dims - 1 - d) for d in range(dims)] for n in cells]
        hashed = [count > self.entries for count in corners]
        counts = torch.tensor([min(count, self.entries) for count in corners])
        self.any_hashed, self.features = any(hashed), levels * per_level
        constants = {
            "cells": torch.tensor(cells, dtype=torch.get_default_dtype()),  # (L,)
            "factors": torch.tensor([PRIMES[:dims] if h else d for h, d in zip(hashed, dense, strict=True)]),  # (L, D)
            "hashed": torch.tensor(hashed),
            "starts": counts.cumsum(0) - counts,
        }
        for name, tensor in constants.items():
            self.register_buffer(name, tensor, persistent=False)
        self.table = nn.Parameter(torch.empty(int(counts.sum()), per_level).uniform_(-1e-4, 1e-4))

    def forward(self, jet: Jet) -> Jet:
        """The jet of the F features, level by level, from the jet of the D coordinates; K fields have K tables."""
        cells = self.cells[..., None, :, None]
        u = (jet.value.unsqueeze(-2) + 1) / 2 * cells  # (.., N, L, D)
        corner = torch.minimum(u.detach().floor().clamp(min=0), cells - 1)
        t = u - corner
        hats = torch.stack([1 - t, t], dim=-1)
        slopes = hats.new_tensor([-1.0, 1.0]).expand_as(hats)
        with autocast.off(u.device.type):
            found = products((hats, slopes, torch.zeros_like(hats))[: jet.order + 1], self._looked_up(corner.long()))
            per_unit = [cells / 2, (cells / 2).square()]
            scaled = [
                (part * unit.unsqueeze(-1)).transpose(-3, -2) for part, unit in zip(found[1:], per_unit, strict=False)
            ]
            return chain(jet, [part.flatten(-2) for part in (found[0], *scaled)])

    def _looked_up(self, corner: Tensor) -> Tensor:
        """(.., N, L, 2^D, features per level), the table's entries at a cell's corners, by the first one's."""
        corners = corner.unsqueeze(-2) + neighbours(2, corner.shape[-1], corner.device)
        numbers = corners * self.factors[..., None, :, None, :]
        index = numbers.sum(-1)
        if self.any_hashed:
            mixed = numbers[..., 0]
            for d in range(1, numbers.shape[-1]):
                mixed = mixed ^ numbers[..., d]
            index = torch.where(self.hashed[..., None, :, None], mixed & (self.entries - 1), index)
        index = index + self.starts[..., None, :, None]
        if self.table.dim() == 3:  # of K fields
            fields = torch.arange(len(self.table), device=index.device) * self.table.shape[1]
            index = index + fields[:, None, None, None]
        return functional.embedding(index, self.table.flatten(0, -2))
