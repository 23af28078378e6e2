"""What the operations whose derivative is written out are made of, and the way back to the plain rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

# A product whose sums or rows have fewer numbers takes no time, and is never rounded: the coordinates of neighbouring
# pixels differ in bits that bfloat16 has not.
FEW = 16

# The derivatives by h, dh, lh, W and b of a layer; None for those that are not wanted.
LayerGradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor, Tensor]


class Passes(ABC):
    """Passes through one layer, up and down. All shapes may have K in front, for K networks at once.

    Of ``z = W h + b`` and ``s = sin(w z)`` the cosine is ``c = w cos(w z)``.

    Attributes:
        autocast: the precision that matrix products are taken in, but for those with `FEW` numbers; None for that of
            their operands. Sums, and what follows a product, stay in the precision of the operands.
    """

    autocast: torch.dtype | None = None

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """a b, of (n, k) and (k, m), or of partials (D, n, k) and one (k, m) for all, whatever autocast wants now."""
        if a.dim() > b.dim():
            return self.product(a.flatten(-3, -2), b).unflatten(-2, a.shape[-3:-1])
        with as_they_are(a):
            if self.autocast is None or min(b.shape[-2:]) < FEW:
                return a @ b
            return (a.to(self.autocast) @ b.to(self.autocast)).to(a.dtype)

    def through(
        self, by_products: Sequence[Tensor], inputs: Sequence[Tensor], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor]:
        """The derivatives by h, dh, lh and W, for those by z, Z and Y; other arguments as of `backward`."""
        by_z, *rest = by_products
        h, dh, lh, weight = inputs
        by_weight = self.product(by_z.mT, h).to(weight.dtype)
        for by_product, part in zip(rest, (dh, lh), strict=True):
            by_weight += self.product(by_product.flatten(-3, -2).mT, part.flatten(-3, -2))
        by_h, by_dh, by_lh = (
            self.product(part, weight) if its else None for part, its in zip(by_products, wanted, strict=True)
        )
        return by_h, by_dh, by_lh, by_weight

    @abstractmethod
    def sine_cosine(self, h: Tensor, weight: Tensor, bias: Tensor, w: float) -> tuple[Tensor, Tensor]:
        """s and c, (N, W) each.

        Args:
            h: (N, F).
            weight, bias: W, (W, F), and b, (W,).
            w: in radians per unit of z.
        """

    @abstractmethod
    def forward(
        self, h: Tensor, dh: Tensor, lh: Tensor, weight: Tensor, bias: Tensor, w: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """s, c, ``Z_d = W dh_d``, ``Y = W lh``, ``c Z_d`` and ``c Y - w^2 s sum_d Z_d^2``: the layer of `kernels.sine`.

        Args:
            h: (N, F).
            dh: (D, N, F), or (D, 1, F) where it is the same at all points; D may be 0.
            lh: (1, N, F) or (1, 1, F), or (0, 1, F) where no Laplacian is wanted.
            weight, bias, w: as for `sine_cosine`.

        Returns:
            (N, W), (N, W), Z and Y with as many rows as dh and lh, (D, N, W), and (1, N, W) or (0, N, W).
        """

    @abstractmethod
    def backward(
        self, inputs: Sequence[Tensor], saved: Sequence[Tensor], by: Sequence[Tensor], w: float, wanted: Sequence[bool]
    ) -> LayerGradients:
        """The derivatives by h, dh, lh, W and b, for those by what `forward` returns first and last.

        Args:
            inputs: h, dh, lh and W, as they went into `forward`.
            saved: s, c, Z and Y, as they came out of it.
            by: those by s, by c Z_d and by the last; shaped like them.
            w: as for `sine_cosine`.
            wanted: whether those by h, dh and lh are.
        """

    @abstractmethod
    def down(
        self, by: Tensor, weight: Tensor, slope: Tensor, extra: Tensor | None, h: Tensor, by_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From the derivatives by the next layer's z down to those by this one's, ``by_z = (by W) slope + extra``.

        Args:
            by: (N, W').
            weight: W of the next layer, (W', W).
            slope, extra: (N, W).
            h: this layer's inputs, (N, F).
            by_weight: (W, F), what the derivatives by this layer's W hold already; may be overwritten.

        Returns:
            by_z, (N, W); those by this layer's b, (W,), and W, ``by_z^T h + by_weight``, (W, F).
        """

    @abstractmethod
    def sweep(self, g: Tensor, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """``u = G slope`` and ``u W``, of the sweep back through a layer, in `kernels.mlp`.

        Args:
            g: G, (C, N, W), or (C, 1, W) where it is the same at all points.
            slope: (N, W).
            weight: (W, F).

        Returns:
            (C, N, W) and (C, N, F).
        """

    @abstractmethod
    def up(
        self, by: Tensor, u: Tensor, g: Tensor, slope: Tensor, bend: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The way `sweep` came, for the derivatives by its last: those by G, by z and by W.

        Args:
            by: (C, N, F).
            u, g, slope, weight: of `sweep`.
            bend: the derivative of the slope by z, (N, W).

        Returns:
            ``(by W^T) slope``, (C, N, W); ``bend sum_c (by_c W^T) G_c``, (N, W); ``sum_c u_c^T by_c``, (W, F).
        """


def passes(h: Tensor) -> Passes:
    """Those for the device of h, the numbers it holds and the autocast that is on."""
    kind = h.device.type
    autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    if kind == "cpu":
        from sinefield.kernels import cpu, mixed  # noqa: PLC0415  their compiler takes a while to load

        if autocast is None and h.dtype in cpu.PRECISIONS:
            return cpu.Compiled()
        if autocast == mixed.SHORT and cpu.PRECISIONS and h.dtype in (torch.float32, mixed.SHORT):
            return mixed.Mixed()
    from sinefield.kernels.tensors import Tensors  # noqa: PLC0415  it imports this module

    return Tensors(autocast)


def as_they_are(like: Tensor) -> AbstractContextManager[Any]:
    """Within it, operations in the precision of their operands, whatever autocast wants."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def recorded(rule: Callable[..., list[Tensor]], inputs: tuple[Tensor | None, ...], grads: Any) -> list[Tensor | None]:
    """The derivatives by the inputs, None for those that need none; in a graph of their own where one is wanted."""
    wanted = [part for part in inputs if part is not None and part.requires_grad]
    given, again = [grad for grad in grads if grad is not None], torch.is_grad_enabled()
    with torch.enable_grad():
        found = iter(torch.autograd.grad(rule(*inputs), wanted, given, create_graph=again, allow_unused=True))
    return [next(found) if part is not None and part.requires_grad else None for part in inputs]
