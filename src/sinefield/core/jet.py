"""Jets: the value and the derivatives of a function f: R^D -> R^C, carried forward through a network.

A forward jet needs two rules only. Through a linear map ``z = W h + b``

    z = W h + b        dz/dx_d = W dh/dx_d        S_m z = W S_m h

and through an elementwise function ``h = s(z)``

    h = s(z)           dh/dx_d = s'(z) dz/dx_d    S_m h = s'(z) S_m z + s''(z) sum_d A_md (dz/dx_d)^2

where ``S_m = sum_d A_md d2/dx_d2`` are M weighted sums of the pure second derivatives: A = ones(1, D) is the Laplacian,
A = I are all second derivatives along the axes, A = (1, -c^2, ..) is a wave operator.

One pass gives all, in ordinary forward code: it costs 1, 1 + D or 1 + D + M value passes, keeps memory flat
and needs a single backward pass for training. Every rule takes jets of K functions at once too, with an axis of
length K in front (stack.py). Source: the chain rule; known as (collapsed) forward Taylor mode, Griewank & Walther,
Evaluating Derivatives (2008), ch. 13, and as the forward Laplacian, arXiv 2307.08214.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sinefield.core import autocast

# What an elementwise function answers at z: s(z) and its derivatives, as many as the order asks for.
Derivatives = tuple[Tensor, ...]
BLOCK = 65_536  # points per evaluation where a whole grid is asked: bounds memory, far above the cost of a call


class Jet(NamedTuple):
    """What a function answers at N points of R^D; derivatives that were not asked for are None.

    Attributes:
        value: (N, C), the function, in its own unit.
        gradient: (N, C, D), first derivatives per unit of coordinate.
        second: (N, C, M), the sums ``sum_d A[m, d] d2f/dx_d2``, per unit^2 of coordinate; per channel.
        operators: A, (M, D); None for ones(1, D), the Laplacian.
        sizes: (N, 2), of a field that is made for every picture: the mean squares of the code of the picture at each
            point, and of the weights made of it; None for another field, and after `map`.
    """

    value: Tensor
    gradient: Tensor | None = None
    second: Tensor | None = None
    operators: Tensor | None = None
    sizes: Tensor | None = None

    @property
    def order(self) -> int:
        """How deep the jet goes: 0 value, 1 gradient, 2 second derivatives."""
        return 2 if self.second is not None else 1 if self.gradient is not None else 0

    @property
    def laplacian(self) -> Tensor | None:
        """(N, C), the sum of the D second derivatives, per channel; None where it was not asked for.

        Raises:
            ValueError: other sums of second derivatives were asked for.
        """
        if self.operators is not None:
            raise ValueError("this jet holds other sums of second derivatives: ask for the Laplacian, operators=None")
        return None if self.second is None else self.second.squeeze(-1)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """(value, gradient, second), as far as they are there."""
        return tuple(part for part in self[:3] if part is not None)

    def map(self, function: Callable[[Tensor], Tensor]) -> Jet:
        """The jet with `function` applied to value, gradient and second: a slice of points, a move, a cast."""
        return self.of([function(part) for part in self.parts])

    def of(self, parts: Sequence[Tensor]) -> Jet:
        """A jet of the same operators with other value, gradient and second."""
        return Jet(*parts)._replace(operators=self.operators)


def coordinates(x: Tensor, order: int, operators: Tensor | None = None) -> Jet:
    """The jet of the coordinates themselves, where every propagation starts: value x, gradient I, second 0.

    Args:
        x: (N, D) coordinates.
        order: how deep the jet goes, 0, 1 or 2.
        operators: A, (M, D), which second derivatives are summed; None for the Laplacian.

    >>> coordinates(torch.zeros(5, 2), order=1).gradient[0]
    tensor([[1., 0.],
            [0., 1.]])
    """
    if order == 0:
        return Jet(x)
    *axes, n, d = x.shape
    gradient = torch.eye(d, dtype=x.dtype, device=x.device).unsqueeze(1).expand(*axes, d, n, d).movedim(-3, -1)
    if order == 1:
        return Jet(x, gradient)
    sums = 1 if operators is None else len(operators)
    return Jet(x, gradient, x.new_zeros(sums, 1, d).expand(*axes, sums, n, d).movedim(-3, -1), operators)


def linear(jet: Jet, weight: Tensor, bias: Tensor | None = None) -> Jet:
    """The jet of ``W h + b``.

    Args:
        jet: the jet of h, C_in channels.
        weight: (C_out, C_in), or (K, C_out, C_in) for K networks at once, whose jets are (K, N, C_in).
        bias: (C_out,) or (K, C_out), or None; moves the value alone.
    """
    derivatives = []
    for part in jet.parts[1:]:  # (D or M, N, C) in memory: all derivatives are one contiguous matmul operand
        rows = part.movedim(-1, -3)
        product = affine(rows.flatten(-3, -2), weight)
        derivatives.append(product.unflatten(-2, rows.shape[-3:-1]).movedim(-3, -1))
    return jet.of([affine(jet.value, weight, bias), *derivatives])


def affine(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``W h + b`` for h (N, C_in), or for K networks at once, (K, N, C_in); weight and bias as `linear` takes them.

    Under autocast the factors are rounded, as `autocast.product_dtype` says; the result has the precision of h.
    """
    device = weight.device.type
    if autocast.is_on(device):
        dtype = autocast.product_dtype(device, weight) or h.dtype
        with autocast.off(device):
            product = affine(h.to(dtype), weight.to(dtype)).to(h.dtype)
            return product if bias is None else product + bias.unsqueeze(-2).to(h.dtype)
    if weight.dim() == 2:
        return functional.linear(h, weight, bias)
    return h @ weight.mT if bias is None else torch.baddbmm(bias.unsqueeze(-2), h, weight.mT)


def elementwise(jet: Jet, function: Callable[[Tensor, int], Derivatives]) -> Jet:
    """The jet of ``s(z)``, s applied to each channel.

    Args:
        jet: the jet of z.
        function: ``function(z, order)`` gives s(z) and its first `order` derivatives, each shaped like z.

    >>> square = lambda z, order: (z * z, 2 * z, torch.full_like(z, 2.0))[: order + 1]
    >>> elementwise(coordinates(torch.tensor([[3.0, 4.0]]), order=2), square).laplacian
    tensor([[2., 2.]])
    """
    value, *derivatives = function(jet.value, jet.order)
    if jet.gradient is None:
        return Jet(value)
    partials = jet.gradient.movedim(-1, -3)  # (D, N, C), as `linear` left them
    parts = [value, (derivatives[0].unsqueeze(-3) * partials).movedim(-3, -1)]
    if jet.second is not None:
        squares = sums(partials.square(), jet.operators)
        rows = derivatives[0].unsqueeze(-3) * jet.second.movedim(-1, -3) + derivatives[1].unsqueeze(-3) * squares
        parts.append(rows.movedim(-3, -1))
    return jet.of(parts)


def sums(rows: Tensor, operators: Tensor | None) -> Tensor:
    """``sum_d A[m, d] rows[d]``, (.., D, N, C) to (.., M, N, C); the plain sum, M = 1, where A is None."""
    if operators is None:
        return rows.sum(-3, keepdim=True)
    return torch.einsum("md,...dnc->...mnc", operators.to(rows), rows)


def concatenate(jets: Sequence[Jet]) -> Jet:
    """The jet of several functions side by side, from theirs of one order at the same points: channels join."""
    channels = (-1, -2, -2)
    parts = zip(*(jet.parts for jet in jets), strict=True)
    return jets[0].of([torch.cat(part, dim) for part, dim in zip(parts, channels, strict=False)])


def joined(jets: Sequence[Jet]) -> Jet:
    """The jet of one function at several sets of points, one after the other, from its jets of one order there."""
    return jets[0].of([torch.cat(parts) for parts in zip(*(jet.parts for jet in jets), strict=True)])


def autograd_jet(function: Callable[[Tensor], Tensor], x: Tensor, order: int, operators: Tensor | None = None) -> Jet:
    """The same jet by nested reverse-mode autograd, for any callable: the fallback, the baseline and the oracle.

    Args:
        function: maps (N, D) coordinates to (N, C), each row on its own.
        x: (N, D) coordinates.
        order: 0, 1 or 2.
        operators: as for `coordinates`.

    Returns:
        A jet through which gradients flow back to the function's parameters.

    >>> autograd_jet(lambda x: (x**3).sum(-1, keepdim=True), torch.tensor([[1.0, 2.0]]), order=2).laplacian.item()
    18.0
    """
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        value = function(x)
        if order == 0:
            return Jet(value)
        gradient = torch.stack([_partials(channel, x) for channel in value.unbind(1)], dim=1)
        if order == 1:
            return Jet(value, gradient)
        partials = enumerate(gradient.unbind(2))
        pure = [torch.stack([_partials(p, x)[:, d] for p in partial.unbind(1)], dim=1) for d, partial in partials]
        return Jet(value, gradient, sums(torch.stack(pure), operators).movedim(0, -1), operators)


def _partials(y: Tensor, x: Tensor) -> Tensor:
    """dy_n/dx_n, (N, D); zero where y does not depend on x, as for the second derivative of a linear map."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (partials,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
    return partials
