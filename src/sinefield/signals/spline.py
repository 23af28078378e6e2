"""A tensor-product B-spline through the samples of a regular grid, with exact derivatives anywhere.

    s(u) = sum_k c_k prod_d B_p(u_d - k_d)

B_p is the cardinal B-spline of odd degree p on integer knots. Its derivatives are differences of lower degrees,
B_p'(t) = B_{p-1}(t + 1/2) - B_{p-1}(t - 1/2), so gradient and Laplacian of s are sums over the same (p+1)^D
coefficients with other weights. The p - 1 coefficients per axis that interpolation leaves open are fixed by the
not-a-knot condition at both ends, which keeps the full order up to the border: for a smooth function and spacing h,
error O(h^(p+1)) in the value, O(h^p) in the gradient, O(h^(p-1)) in the Laplacian.

Source: de Boor, A Practical Guide to Splines (2001), ch. IV (not-a-knot), X (differences); Unser, Splines: a perfect
fit for signal and image processing (1999).
"""

from collections.abc import Sequence
from itertools import product
from math import comb

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from sinefield.core.jet import Jet


def coefficients(samples: np.ndarray, degree: int) -> np.ndarray:
    """The coefficients c of the spline through the samples.

    Args:
        samples: (n_1, ..., n_D, C) values at integer positions 0 .. n_d - 1; every n_d > degree.
        degree: p, odd.

    Returns:
        (n_1 + p - 1, ..., n_D + p - 1, C); c_k belongs to the B-spline centred on k - (p - 1)/2.
    """
    for axis in range(samples.ndim - 1):
        moved = np.moveaxis(samples, axis, 0)
        padded = np.zeros((moved.shape[0] + degree - 1, *moved.shape[1:]))
        padded[degree // 2 : degree // 2 + moved.shape[0]] = moved
        solved = splu(_interpolation(moved.shape[0], degree)).solve(padded.reshape(padded.shape[0], -1))
        samples = np.moveaxis(solved.reshape(padded.shape), 0, axis)
    return samples


def refined(samples: np.ndarray, degree: int = 3) -> np.ndarray:
    """The spline through samples (n_1, ..., n_D, C) on the grid twice as fine, (2 n_1 - 1, ..., 2 n_D - 1, C)."""
    fine = coefficients(samples, degree)
    middle = weights(torch.tensor([0.0, 0.5], dtype=torch.float64), degree, 0).numpy()  # (2, p + 1)
    for axis in range(samples.ndim - 1):
        moved = np.moveaxis(fine, axis, 0)
        cells = np.lib.stride_tricks.sliding_window_view(moved, degree, axis=0) @ middle[0, :degree]
        halves = np.lib.stride_tricks.sliding_window_view(moved, degree + 1, axis=0) @ middle[1]
        out = np.empty((len(cells) + len(halves), *moved.shape[1:]))
        out[::2], out[1::2] = cells, halves
        fine = np.moveaxis(out, 0, axis)
    return fine


def _interpolation(n: int, degree: int) -> sparse.csc_matrix:
    """The square system of n interpolation rows between (p - 1)/2 not-a-knot rows at either end."""
    ends, size = degree // 2, n + degree - 1
    at_integers = weights(torch.zeros(1, dtype=torch.float64), degree, 0)[0, :degree].tolist()
    jumps = [(-1.0) ** j * comb(degree + 1, j) for j in range(degree + 2)]  # of the p-th derivative at a knot

    def band(values: list[float], rows: int, start: int = 0) -> sparse.dia_array:
        return sparse.diags_array(values, offsets=start + np.arange(len(values)), shape=(rows, size))

    last = size - ends - degree - 1
    return sparse.vstack([band(jumps, ends), band(at_integers, n), band(jumps, ends, last)]).tocsc()


def weights(t: Tensor, degree: int, derivative: int) -> Tensor:
    """The `derivative`-th derivatives of the degree + 1 B-splines that are not zero at offset t, (N, p + 1).

    From left to right, per unit of t; t (N,) is counted from the knot to the left, in [0, 1].
    """
    basis = torch.ones(len(t), 1, dtype=t.dtype, device=t.device)
    for q in range(1, degree - derivative + 1):  # Cox-de Boor on uniform knots, from degree q - 1 to q
        j = torch.arange(q, dtype=t.dtype, device=t.device)
        rising = torch.nn.functional.pad(basis * (t[:, None] + q - 1 - j), (1, 0))
        falling = torch.nn.functional.pad(basis * (1 - t[:, None] + j), (0, 1))
        basis = (rising + falling) / q
    for _ in range(derivative):  # each derivative is a difference, one degree up
        basis = torch.nn.functional.pad(basis, (1, 0)) - torch.nn.functional.pad(basis, (0, 1))
    return basis


def evaluate(
    c: Tensor,
    position: Tensor,
    degree: int,
    order: int,
    spacing: float | Sequence[float] = 1.0,
    which: Tensor | None = None,
) -> Jet:
    """The jet of the spline, per unit of coordinate.

    Args:
        c: (n_1 + p - 1, ..., n_D + p - 1, C), from `coefficients`; with `which`, of P splines, P in front.
        position: (N, D) in samples, as `Signal.pixels` has it: along the last axis of c first. Outside the samples the
            border polynomial goes on.
        degree: p.
        order: 0, 1 or 2.
        spacing: units of coordinate from sample to sample; one for all axes, or one each in the order of coordinates.
        which: (N,), the number of the spline that is asked at each position; None for one spline.
    """
    u, dims = position.flip(-1), position.shape[1]
    h = list(reversed(spacing)) if isinstance(spacing, Sequence) else [spacing] * dims
    sides = c.shape[-1 - dims : -1]
    counts = torch.tensor(sides, device=u.device) - degree + 1
    cell = u.detach().floor().clamp(min=0).minimum(counts.to(u.dtype) - 2)
    t = (u - cell).to(c.dtype).unbind(1)
    taps = [[weights(t[d], degree, k) / h[d] ** k for k in range(order + 1)] for d in range(dims)]
    strides = [int(np.prod(sides[d + 1 :])) for d in range(dims)]
    offsets = [sum(i * s for i, s in zip(k, strides, strict=True)) for k in product(range(degree + 1), repeat=dims)]
    base = (cell.long() * torch.tensor(strides, device=u.device)).sum(1)
    if which is not None:
        base = base + which * int(np.prod(sides))
    patch = c.flatten(0, -2)[base[:, None] + torch.tensor(offsets, device=u.device)]  # (N, (p+1)^D, C)

    def derivative(k: int, axis: int) -> Tensor:
        """The k-th derivative along an axis, (N, C)."""
        joint = torch.ones_like(taps[0][0][:, :1])
        for d in range(dims):
            joint = (joint.unsqueeze(2) * taps[d][k if d == axis else 0].unsqueeze(1)).flatten(1)
        return torch.einsum("nk,nkc->nc", joint, patch)

    parts = [derivative(0, 0)]
    if order >= 1:
        parts.append(torch.stack([derivative(1, d) for d in reversed(range(dims))], dim=-1))
    if order >= 2:
        parts.append(torch.stack([derivative(2, d) for d in range(dims)]).sum(0).unsqueeze(-1))
    return Jet(*parts)
