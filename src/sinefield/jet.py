"""Jets: the value, gradient and Laplacian of a function f: R^D -> R^C, carried forward through a network.

A forward jet needs two rules only. Through a linear map ``z = W h + b``

    z = W h + b        dz/dx_d = W dh/dx_d        lap z = W lap h

and through an elementwise function ``h = s(z)``

    h = s(z)           dh/dx_d = s'(z) dz/dx_d    lap h = s'(z) lap z + s''(z) |grad z|^2 .

One pass gives all three, in ordinary forward code: it costs 1, 1 + D or 2 + D value passes, keeps memory flat
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

# What an elementwise function answers at z: s(z) and its derivatives, as many as the order asks for.
Derivatives = tuple[Tensor, ...]


BLOCK = 65_536  # points per evaluation where a whole grid is asked: bounds memory, far above the cost of a call


class Jet(NamedTuple):
    """What a function answers at N points of R^D; derivatives it was not asked for are None.

    Attributes:
        value: (N, C), the function, in its own unit.
        gradient: (N, C, D), first derivatives per unit of coordinate.
        laplacian: (N, C), the sum of the D second derivatives, per unit^2 of coordinate; per channel.
    """

    value: Tensor
    gradient: Tensor | None = None
    laplacian: Tensor | None = None

    @property
    def order(self) -> int:
        """How deep the jet goes: 0 value, 1 gradient, 2 Laplacian."""
        return 2 if self.laplacian is not None else 1 if self.gradient is not None else 0

    def map(self, function: Callable[[Tensor], Tensor]) -> Jet:
        """The jet with `function` applied to every part that is there: a slice of points, a move, a cast."""
        gradient = None if self.gradient is None else function(self.gradient)
        laplacian = None if self.laplacian is None else function(self.laplacian)
        return Jet(function(self.value), gradient, laplacian)


def coordinates(x: Tensor, order: int) -> Jet:
    """The jet of the coordinates themselves, where every propagation starts: value x, gradient I, Laplacian 0.

    Args:
        x: (N, D) coordinates.
        order: how deep the jet goes, 0, 1 or 2.

    >>> coordinates(torch.zeros(5, 2), order=1).gradient[0]
    tensor([[1., 0.],
            [0., 1.]])
    """
    *axes, n, d = x.shape
    gradient = None
    if order >= 1:
        gradient = torch.eye(d, dtype=x.dtype, device=x.device).unsqueeze(1).expand(*axes, d, n, d).movedim(-3, -1)
    return Jet(x, gradient, x.new_zeros(d).expand_as(x) if order >= 2 else None)


def linear(jet: Jet, weight: Tensor, bias: Tensor | None = None) -> Jet:
    """The jet of ``W h + b``.

    Args:
        jet: the jet of h, C_in channels.
        weight: (C_out, C_in), or (K, C_out, C_in) for K networks at once, whose jets are (K, N, C_in).
        bias: (C_out,) or (K, C_out), or None; moves the value alone.
    """
    gradient = None
    if jet.gradient is not None:  # (D, N, C) in memory: all partial derivatives are one contiguous matmul operand
        partials = jet.gradient.movedim(-1, -3)
        gradient = affine(partials.flatten(-3, -2), weight).unflatten(-2, partials.shape[-3:-1]).movedim(-3, -1)
    laplacian = None if jet.laplacian is None else affine(jet.laplacian, weight)
    return Jet(affine(jet.value, weight, bias), gradient, laplacian)


def affine(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``W h + b`` for h (N, C_in), or for K networks at once, (K, N, C_in); weight and bias as `linear` takes them."""
    if weight.dim() == 2:
        return functional.linear(h, weight, bias)
    return h @ weight.mT if bias is None else torch.baddbmm(bias.unsqueeze(-2), h, weight.mT)


def elementwise(jet: Jet, function: Callable[[Tensor, int], Derivatives]) -> Jet:
    """The jet of ``s(z)``, s applied to each channel.

    Args:
        jet: the jet of z.
        function: ``function(z, order)`` gives s(z) and its first `order` derivatives, each shaped like z.

    >>> square = lambda z, order: (z * z, 2 * z, torch.full_like(z, 2.0))[: order + 1]
    >>> elementwise(coordinates(torch.tensor([[3.0, 4.0]]), order=2), square)
    Jet(value=tensor([[ 9., 16.]]), gradient=tensor([[[6., 0.],
             [0., 8.]]]), laplacian=tensor([[2., 2.]]))
    """
    value, *derivatives = function(jet.value, jet.order)
    if jet.gradient is None:
        return Jet(value)
    partials = jet.gradient.movedim(-1, -3)  # (D, N, C), as `linear` left them
    gradient = (derivatives[0].unsqueeze(-3) * partials).movedim(-3, -1)
    if jet.laplacian is None:
        return Jet(value, gradient)
    return Jet(value, gradient, derivatives[0] * jet.laplacian + derivatives[1] * partials.square().sum(-3))


def concatenate(jets: Sequence[Jet]) -> Jet:
    """The jet of several functions of the same points side by side: channels are concatenated.

    Args:
        jets: jets of one order at the same N points.
    """
    values, gradients, laplacians = ([part for part in parts if part is not None] for parts in zip(*jets, strict=True))
    return Jet(
        torch.cat(values, dim=-1),
        torch.cat(gradients, dim=-2) if gradients else None,
        torch.cat(laplacians, dim=-1) if laplacians else None,
    )


def joined(jets: Sequence[Jet]) -> Jet:
    """The jet of one function at several sets of points, one after the other.

    Args:
        jets: jets of one order.
    """
    values, gradients, laplacians = ([part for part in parts if part is not None] for parts in zip(*jets, strict=True))
    return Jet(
        torch.cat(values), torch.cat(gradients) if gradients else None, torch.cat(laplacians) if laplacians else None
    )


def autograd_jet(function: Callable[[Tensor], Tensor], x: Tensor, order: int) -> Jet:
    """The same jet by nested reverse-mode autograd, for any callable: the fallback, the baseline and the oracle.

    Args:
        function: maps (N, D) coordinates to (N, C), each row on its own.
        x: (N, D) coordinates.
        order: 0, 1 or 2.

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
        second = [
            torch.stack([_partials(partial, x)[:, d] for d, partial in enumerate(channel.unbind(1))]).sum(0)
            for channel in gradient.unbind(1)
        ]
        return Jet(value, gradient, torch.stack(second, dim=1))


def _partials(y: Tensor, x: Tensor) -> Tensor:
    """dy_n/dx_n, (N, D); zero where y does not depend on x, as for the second derivative of a linear map."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (partials,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
    return partials
