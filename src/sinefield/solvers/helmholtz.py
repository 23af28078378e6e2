"""The Helmholtz equation with absorbing layers by finite differences: what fields are compared with.

    d/dx (e_y / e_x du/dx) + d/dy (e_x / e_y du/dy) + e_x e_y k^2 m u = s      in [-1, 1]^2,   u = 0 on its border
    e_t = 1 - i a (max(|t| - 1/2, 0) / (1/2))^2,      m = 1 / c^2

Five points, coefficients halfway between them: the error falls as h^2, and as h^4 after Richardson's extrapolation
where the medium is smooth. Waves go as exp(+i w t), so in a uniform medium ``u = i/4 s * H0^(2)(k sqrt(m) r)`` in the
physical part |x|, |y| <= 1/2: nothing comes back from the layers. Arrays are (rows, columns), y down the rows.
Source: Sitzmann et al., arXiv 2006.09661, sec. 4.2 and supplement 5; Berenger, J. Comput. Phys. 114, 1994.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from sinefield.errors import integer, require

Function = Callable[[Tensor], Tensor]  # of (N, 2) coordinates in double precision; gives (N,)
_PARTS = 8  # a cell's average is over so many points along each axis


def stretch(t: np.ndarray, absorption: float = 5.0) -> np.ndarray:
    """e_t (n,) complex at coordinates t (n,): 1 in the physical part."""
    return np.asarray(1 - 1j * absorption * (np.maximum(np.abs(t) - 0.5, 0) / 0.5) ** 2)


class Operator:
    """The discrete equation at one wave number: its matrix is factorised once, for any number of sources.

    Args:
        medium: (n, n), m = 1 / c^2 at nodes of spacing 2 / (n - 1), those on the border included.
        k: wave number where m = 1, in radians per unit of coordinate.
        absorption: a, of the layers.

    Attributes:
        scale: (n - 2, n - 2) complex, e_x e_y k^2 inside the border: the derivative of the matrix' diagonal by m.
    """

    def __init__(self, medium: np.ndarray, k: float, absorption: float = 5.0) -> None:
        shape = np.shape(medium)
        square = len(shape) == 2 and shape[0] == shape[-1] >= 5
        require(square, f"a medium must have the same number of rows and columns, 5 at least; not the shape {shape}")
        require(bool(np.isfinite(medium).all()), "a medium holds numbers that are not finite; mend it")
        n = shape[0]
        nodes, h = np.linspace(-1, 1, n), 2 / (n - 1)
        e, between = stretch(nodes[1:-1], absorption), 1 / stretch(nodes[:-1] + h / 2, absorption)
        second = sparse.diags([between[1:-1], -(between[1:] + between[:-1]), between[1:-1]], [-1, 0, 1]) / h**2
        self.scale = k**2 * e[:, None] * e
        straight = sparse.kron(sparse.diags(e), second) + sparse.kron(second, sparse.diags(e))
        matrix = straight + sparse.diags((self.scale * medium[1:-1, 1:-1]).ravel())
        # Eliminated in the order of nested dissection, whose fill grows as N log N.
        order = _dissection(np.arange((n - 2) ** 2).reshape(n - 2, n - 2))
        symmetric = {"SymmetricMode": True}
        ordered = sparse.csc_matrix(matrix.tocsr()[order][:, order])
        self._order = order
        self._factors = splu(ordered, permc_spec="NATURAL", diag_pivot_thresh=0.0, options=symmetric)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """(..., n - 2, n - 2) complex, u inside the border, for right sides of that shape.

        The matrix is symmetric, so this solves the transposed equation as well.
        """
        columns = right.reshape(-1, len(self._order)).T.astype(complex)
        found = np.empty_like(columns)
        found[self._order] = self._factors.solve(np.ascontiguousarray(columns[self._order]))
        return np.asarray(found.T.reshape(right.shape))


def solve(medium: np.ndarray, source: np.ndarray, k: float, absorption: float = 5.0) -> np.ndarray:
    """u, complex, shaped like the source, (n, n) or (S, n, n) for S sources; arguments as of `Operator`.

    >>> n = 81
    >>> source = np.zeros((n, n), complex)
    >>> source[n // 2, n // 2] = (n - 1) ** 2 / 4  # the integral is 1
    >>> u = solve(np.ones((n, n)), source, k=10)
    >>> from scipy.special import hankel2
    >>> bool(abs(u[40, 50] - 0.25j * hankel2(0, 10 * 0.25)) < 0.01)  # r = 0.25
    True
    """
    n = np.shape(medium)[0]
    require(source.shape[-2:] == (n, n), f"a source of shape {source.shape} does not fit a medium of shape ({n}, {n})")
    inside = Operator(medium, k, absorption).solve(source[..., 1:-1, 1:-1])
    return np.pad(inside, [(0, 0)] * (source.ndim - 2) + [(1, 1), (1, 1)])


def points(n: int) -> Tensor:
    """(n, n, 2) coordinates (x, y) of the nodes, rows first, in double precision."""
    nodes = torch.linspace(-1, 1, n, dtype=torch.float64)
    return torch.stack(torch.meshgrid(nodes, nodes, indexing="xy"), dim=-1)


def averaged(function: Function, n: int) -> np.ndarray:
    """(n, n), the means of a function over the cells around the nodes, which keep the order 2 where it jumps."""
    h = 2 / (n - 1)
    steps = ((torch.arange(_PARTS, dtype=torch.float64) + 0.5) / _PARTS - 0.5) * h
    offsets = torch.cartesian_prod(steps, steps)
    rows = [function((row[:, None] + offsets).reshape(-1, 2)).reshape(n, -1).mean(-1) for row in points(n)]
    return torch.stack(rows).numpy()


def reference(medium: Function, source: Function, k: float, n: int = 301, absorption: float = 5.0) -> np.ndarray:
    """u (n, n) complex at `points(n)`, extrapolated from there and a grid twice as fine: ``(4 u_{h/2} - u_h) / 3``.

    A straight edge of the medium should lie on nodes, or halfway between them, of both grids: n - 1 a multiple of 20
    does that for the square at 0.3. Elsewhere the error that is left is not h^4, and yet smaller than before.

    Args:
        medium: m = 1 / c^2 at coordinates (N, 2).
        source: complex, (N,) at (N, 2), smooth over a spacing.
        k, absorption: as of `Operator`.
        n: nodes along each axis; 301 takes about 10 s.
    """
    n = integer("n", n, least=5)

    def on(count: int) -> np.ndarray:
        values = source(points(count).reshape(-1, 2)).reshape(count, count)
        return solve(averaged(medium, count), values.numpy(), k, absorption)

    return (4 * on(2 * n - 1)[::2, ::2] - on(n)) / 3


def gaussian(x: Tensor, centre: tuple[float, float] = (0.0, 0.0), variance: float = 1e-4) -> Tensor:
    """(N,) real, a source whose integral is 1: ``exp(-r^2 / 2v) / (2 pi v)``, r from the centre to x (N, 2)."""
    squared = (x - x.new_tensor(centre)).square().sum(-1)
    return (-squared / (2 * variance)).exp() / (2 * math.pi * variance)


def _dissection(numbers: np.ndarray) -> np.ndarray:
    """The numbers of a grid (a, b) in the order of nested dissection: two halves, then the line that parts them.

    Source: George, Nested dissection of a regular finite element mesh, SIAM J. Numer. Anal. 10(2), 1973.
    """
    parts: list[Any] = []
    waiting = [numbers]
    while waiting:  # the last first: separators are put in front of what they part
        block = waiting.pop()
        if min(block.shape) <= 3:
            parts.append((block if block.shape[0] >= block.shape[1] else block.T).ravel())
            continue
        block = block if block.shape[0] >= block.shape[1] else block.T
        middle = block.shape[0] // 2
        parts.append(block[middle])
        waiting += [block[:middle], block[middle + 1 :]]
    return np.concatenate(parts[::-1])
