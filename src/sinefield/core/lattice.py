"""Functions given by numbers at the points of a lattice, and their jets: sums of products of one function per axis.

    f(y) = sum_p c_p prod_d w_d,p(y_d)        over the P^D points p around y
    df/dy_j, d2f/dy_j dy_k: the factor of axis j, or those of j and k, replaced by their derivatives

and for y = y(x) the chain rule, with the mixed second derivatives that a curved y needs:

    S_m f = sum_j df/dy_j S_m y_j + sum_jk d2f/dy_j dy_k sum_d A_md dy_j/dx_d dy_k/dx_d .

Linear hats make a multiresolution grid (encodings/hashgrid.py), cubic B-splines a spline (fields/bspline.py).
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from sinefield.core.jet import Jet


def neighbours(points: int, dims: int, device: torch.device) -> Tensor:
    """(P^D, D), the steps from a cell's first lattice point to all P^D that count there, the last axis fastest.

    >>> neighbours(2, 2, torch.device("cpu")).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    steps = torch.meshgrid(*[torch.arange(points, device=device)] * dims, indexing="ij")
    return torch.stack(steps, dim=-1).flatten(0, -2)


def products(weights: Sequence[Tensor], coefficients: Tensor) -> list[Tensor]:
    """f (.., F), its derivatives (.., D, F), its second ones (.., D (D + 1) / 2, F) by pairs j <= k: as many as asked.

    Args:
        weights: w, w', w'', as many as are asked for, (.., D, P) each, per unit of y.
        coefficients: c, (.., P^D, F), in the order of `neighbours`.
    """
    dims, order = weights[0].shape[-2], len(weights) - 1
    found = [(_outer(weights, [0] * dims).unsqueeze(-2) @ coefficients).squeeze(-2)]
    for depth in range(1, order + 1):
        chosen = [[axes.count(d) for d in range(dims)] for axes in combinations_with_replacement(range(dims), depth)]
        found.append(torch.stack([_outer(weights, orders) for orders in chosen], dim=-2) @ coefficients)
    return found


def _outer(weights: Sequence[Tensor], orders: Sequence[int]) -> Tensor:
    """(.., P^D), the products of all axes' weights, axis d differentiated orders[d] times."""
    found = weights[orders[0]][..., 0, :]
    for d, order in enumerate(orders[1:], start=1):
        found = (found.unsqueeze(-1) * weights[order][..., d, None, :]).flatten(-2)
    return found


def chain(jet: Jet, parts: Sequence[Tensor]) -> Jet:
    """The jet of f(y(x)), from that of y, (.., N, D), and `products` at y, (.., N, F) and so on."""
    if jet.gradient is None:
        return Jet(parts[0])
    found = [parts[0], torch.einsum("...jf,...jd->...fd", parts[1], jet.gradient)]
    if jet.second is not None:
        pairs = list(combinations_with_replacement(range(jet.value.shape[-1]), 2))
        first, second = ([pair[i] for pair in pairs] for i in (0, 1))
        twice = jet.gradient.new_tensor([1.0 if j == k else 2.0 for j, k in pairs])
        both = jet.gradient[..., first, :] * jet.gradient[..., second, :] * twice.unsqueeze(-1)
        sums = both.sum(-1, keepdim=True) if jet.operators is None else both @ jet.operators.to(both).mT
        found.append(
            torch.einsum("...jf,...jm->...fm", parts[1], jet.second)
            + torch.einsum("...qf,...qm->...fm", parts[2], sums)
        )
    return jet.of(found)
