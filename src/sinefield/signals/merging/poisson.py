"""Pictures from gradients on the pixel grid, by the classical solvers: what a fitted field is compared with.

A gradient field v is given by its integrals along the edges between neighbouring pixels,

    across[i, j] = int v . dl  from pixel (i, j) to (i, j + 1)        down[i, j] = int v . dl  from (i, j) to (i + 1, j)

and the picture u is the one whose differences are nearest, the five-point form of ``lap u = div v``:

    min_u  sum over edges c (u_q - u_p - int_p^q v . dl)^2    =>    sum_q c (u_p - u_q) = - sum_q c int_p^q v . dl

with c = 1, but 1/2 on the picture's border, where an edge stands for half as much of the plane: the border then runs
through the outermost pixel centres, where the derivative across it is v's. Where v has a potential the differences are
met exactly: nothing is lost to the grid. For another smooth v the error against the continuous problem is O(h^2).

Source: Pérez, Gangnet & Blake, SIGGRAPH 2003, eq. 7; Simchony, Chellappa & Shao, Direct analytical methods for solving
Poisson equations in computer vision problems, PAMI 1990.
"""

import numpy as np
from scipy import sparse
from scipy.fft import dctn, idctn
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from sinefield.errors import require


def shares(n: int) -> np.ndarray:
    """(n,) the part of its neighbourhood that each of n pixels in a row has inside the picture: 1/2, 1, ... 1, 1/2."""
    return np.where(np.isin(np.arange(n), (0, n - 1)), 0.5, 1.0)


def divergence(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """What flows out of each pixel along its edges, less what flows in, weighted by c, (H, W, C); as of `neumann`."""
    right = np.pad(across * shares(len(across))[:, None, None], ((0, 0), (1, 1), (0, 0)))
    below = np.pad(down * shares(down.shape[1])[:, None], ((1, 1), (0, 0), (0, 0)))
    return np.diff(right, axis=1) + np.diff(below, axis=0)


def neumann(across: np.ndarray, down: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The picture with the nearest differences and each channel's mean over the box that of `values`, (H, W, C).

    The mean is taken by the trapezoidal rule: m is 1, on the border 1/2 and in the corners 1/4. Solved by cosine
    transforms (DCT-I) in O(n log n) for n pixels; eigenvalues ``4 - 2 cos(pi k / (H - 1)) - 2 cos(pi l / (W - 1))``.

    Args:
        across, down: (H, W - 1, C) and (H - 1, W, C), integrals along the edges to the right and downwards.
        values: (H, W, C), of which the means alone matter.

    >>> u = np.array([[[1.0], [4.0], [2.0]], [[0.0], [5.0], [3.0]]])
    >>> np.allclose(neumann(np.diff(u, axis=1), np.diff(u, axis=0), u), u)
    True
    """
    height, width, _ = values.shape
    rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / (n - 1)) for n in (height, width))
    eigenvalues = rows[:, None, None] + columns[:, None]
    eigenvalues[0, 0] = 1.0  # of the means, which are those of `values`
    m = (shares(height)[:, None] * shares(width))[..., None]
    wanted, flow = (dctn(part, type=1, axes=(0, 1)) for part in (values, divergence(across, down) / m))
    spectrum = -flow / eigenvalues
    spectrum[0, 0] = wanted[0, 0]
    return idctn(spectrum, type=1, axes=(0, 1))


def dirichlet(across: np.ndarray, down: np.ndarray, values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """The picture with given values outside a region and the nearest differences inside, (H, W, C).

    A sparse LU factorisation serves all channels. On the picture's own border the region is free, as in `neumann`.

    Args:
        across, down: as of `neumann`; those with an end in the region count.
        values: (H, W, C), kept outside the region.
        unknown: (H, W) booleans, True in the region.

    Raises:
        UserError: the region, or a part of it, has no neighbour with a given value.

    >>> u = np.arange(9.0).reshape(3, 3, 1) ** 2
    >>> inside = np.zeros((3, 3), bool)
    >>> inside[1, 1:] = True
    >>> np.allclose(dirichlet(np.diff(u, axis=1), np.diff(u, axis=0), np.where(inside[..., None], 0, u), inside), u)
    True
    """
    number = np.arange(unknown.size).reshape(unknown.shape)
    start = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    end = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    height, width = unknown.shape
    c = np.concatenate([np.repeat(shares(height), width - 1), np.tile(shares(width), height - 1)])
    neighbours = sparse.coo_matrix((c, (start, end)), shape=(unknown.size,) * 2)
    neighbours = (neighbours + neighbours.T).tocsr()
    inside = unknown.ravel()
    among, towards = neighbours[inside][:, inside], neighbours[inside][:, ~inside]
    given = np.asarray(towards.sum(axis=1)).ravel()
    parts, part = connected_components(among, directed=False)
    held = np.bincount(part, weights=given, minlength=parts) > 0
    cure = "leave some pixel out of it"
    require(bool(held.all()), f"a region to be filled in has no neighbour with a given value; {cure}")
    flat = values.reshape(unknown.size, -1)
    load = towards @ flat[~inside] - divergence(across, down).reshape(unknown.size, -1)[inside]
    system = sparse.diags(given + np.asarray(among.sum(axis=1)).ravel()) - among
    result = flat.astype(np.float64)
    if inside.any():
        result[inside] = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(load)
    return result.reshape(values.shape)
