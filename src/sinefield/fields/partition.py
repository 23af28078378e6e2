"""A long signal by many small networks, one per part of one axis, blended smoothly where parts meet.

    f(x) = sum_k w_k(u) g_k(z_k),      u = K (x_a + 1) / 2,      z_k = K (x_a - c_k)

Network g_k belongs to the part k <= u < k + 1 of axis a. The windows w_k are a partition of unity: 1 inside a part, and
around the boundary u = b the two neighbours share the weight by the quintic ``S(t) = 6 t^5 - 15 t^4 + 10 t^3``, so that
f is twice continuously differentiable. With w = w_k, ' by u and s = K / 2 the jet follows from the product rule:

    f = sum w g      df/dx_a = sum w dg/dx_a + s w' g      d2f/dx_a2 = sum w d2g/dx_a2 + 2 s w' dg/dx_a + s^2 w'' g

A point costs one small network, or two, however long the signal is, and no network has to tell far parts of it apart.
Source: Moseley et al., Finite Basis Physics-Informed Neural Networks, arXiv 2107.07871.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from sinefield.activations.base import Activation
from sinefield.core import autocast
from sinefield.core.jet import Jet, coordinates, linear
from sinefield.encodings.base import Encoding
from sinefield.errors import integer, positive, require
from sinefield.fields import layerwise
from sinefield.fields.grouping import places
from sinefield.fields.mlp import MOST, CoordinateMLP
from sinefield.fields.stack import stack_fields
from sinefield.kernels import network
from sinefield.kernels.dispatch import eager


class Partition(nn.Module):
    """K networks along one axis as one field R^D -> R^C, with value, gradient and second derivatives.

    Args:
        in_features: D, the number of coordinates, each in [-1, 1].
        out_features: C, the number of channels.
        width, depth: neurons per layer, and hidden layers behind the first, of each network.
        samples: of the signal along the axis; with `part` it gives K.
        part: samples per network.
        first_scale: multiplies the first layer's weights along the axis at the start, where no encoding is in front:
            its frequencies end at w0 `first_scale` radians per half part. At a fixed `part` they follow the sampling.
        overlap: the blended share of a part, above 0, at most 1.
        axis: a, which coordinate is divided.
        activation, encoding: of every network, as for `CoordinateMLP`, with x_a replaced by z_k.

    >>> from sinefield.activations.sine import Sine
    >>> field = Partition(1, 1, width=16, depth=1, samples=1000, part=100, activation=Sine())
    >>> field.parts, field(torch.zeros(5, 1)).shape, field.jet(torch.zeros(5, 1), order=2).laplacian.shape
    (10, torch.Size([5, 1]), torch.Size([5, 1]))
    """

    stack = torch.Size()  # one field, although its tensors have an axis of length K in front
    centres: Tensor
    scale: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        width: int = 48,
        depth: int = 2,
        samples: int = 4800,
        part: int = 4800,
        first_scale: float = 20.0,
        overlap: float = 0.1,
        axis: int = 0,
        *,
        activation: Activation,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__()
        dims = integer("field.in_features", in_features, least=1)
        self.axis = integer("field.axis", axis, least=0, most=dims - 1)
        self.overlap = positive("field.overlap", overlap)
        require(overlap <= 1, f"field.overlap must be at most 1, the whole part, not {overlap}")
        samples, part = integer("field.samples", samples, least=1), integer("field.part", part, least=1)
        self.parts = max(1, round(samples / part))
        first_scale = positive("field.first_scale", first_scale)

        def one() -> CoordinateMLP:
            return CoordinateMLP(dims, out_features, width, depth, activation=activation, encoding=encoding)

        first = one()
        count = self.parts * sum(p.numel() for p in first.parameters())
        require(count <= MOST, f"field.part={part} makes {count:,} weights, of {MOST:,} at most; take a longer part")
        self.networks = stack_fields([first, *(one() for _ in range(1, self.parts))])
        self.networks.encoding = first.encoding  # the same for all
        if self.networks.is_first(0):
            with torch.no_grad():
                self.networks.linear_maps()[0].weight[..., self.axis] *= first_scale
        scale = torch.ones(dims)
        scale[self.axis] = self.parts
        centres = (2 * torch.arange(self.parts, dtype=torch.float64) + 1) / self.parts - 1
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("centres", centres.to(scale.dtype), persistent=False)

    @property
    def head(self) -> nn.Linear:
        """The last layers, with K in front."""
        return self.networks.head

    @property
    def activation(self) -> Activation:
        """Of every network."""
        return self.networks.activation

    @property
    def max_order(self) -> int:
        """How many of the field's derivatives carry information."""
        return self.networks.max_order

    def jet(
        self,
        x: Tensor,
        order: int,
        operators: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Jet:
        """Value (N, C), gradient (N, C, D) and M sums of second derivatives (N, C, M); as of `CoordinateMLP.jet`."""
        if parameters is not None:
            return layerwise.jet_given(cast("CoordinateMLP", self), parameters, x, order, operators)
        u = (x[:, self.axis] + 1) * (self.parts / 2)
        own = u.detach().floor().clamp(0, self.parts - 1)
        border = u.detach().round().clamp(1, max(1, self.parts - 1))  # the nearest boundary between two parts
        right = own >= border  # of it
        inward = torch.where(right, u - border, border - u) / self.overlap + 0.5
        weight, slope, curvature = _step(inward.clamp(max=1.0))
        slope = torch.where(right, slope, -slope) * (self.parts / 2 / self.overlap)
        curvature = curvature * (self.parts / 2 / self.overlap) ** 2
        other = torch.where(right, border - 1, border)
        shared = inward.detach() < 1
        plain = eager(x) or (autocast.is_on(x.device.type) and not torch.compiler.is_compiling())
        if self.parts == 1:
            return self._networks(x, own.long(), order, operators, plain)
        if not plain:  # shapes must not depend on the coordinates: both networks everywhere
            found = self._networks(torch.cat([x, x]), torch.cat([own, other]).long(), order, operators, plain)
            n = len(x)
            mine = self._windowed(found.map(lambda t: t[:n]), weight, slope, curvature)
            theirs = self._windowed(found.map(lambda t: t[n:]), 1 - weight, -slope, -curvature)
            return mine.of([a + b for a, b in zip(mine.parts, theirs.parts, strict=True)])
        which = shared.nonzero().squeeze(1)
        k = torch.cat([own, other[which]]).long()
        found = self._networks(torch.cat([x, x[which]]), k, order, operators, plain)
        rows = torch.cat([torch.arange(len(x), device=x.device), which])
        windows = ((weight, 1 - weight), (slope, -slope), (curvature, -curvature))
        blended = self._windowed(found, *(torch.cat([a, b[which]]) for a, b in windows))
        return blended.map(lambda t: t.new_zeros(len(x), *t.shape[1:]).index_add(0, rows, t))

    def _networks(self, x: Tensor, k: Tensor, order: int, operators: Tensor | None, plain: bool) -> Jet:
        """The jet of network k (N,) at x (N, D), per unit of x."""
        z = (x - 0.0).index_add(1, torch.tensor([self.axis], device=x.device), -self.centres.to(x.dtype)[k, None])
        z = z * self.scale.to(x.dtype)
        local = None
        if order == 2:
            sums = x.new_ones(1, x.shape[1]) if operators is None else operators.to(x.dtype)
            local = sums * self.scale.to(x.dtype).square()
        tensors = [part for layer in [*self.networks.linear_maps(), self.head] for part in (layer.weight, layer.bias)]
        if plain:
            counts = k.bincount(minlength=self.parts)
            present = counts.nonzero().squeeze(1)
            if 0 < len(present) < self.parts:  # points in a row, as evaluations take them, lie in few parts
                tensors, counts = [tensor[present] for tensor in tensors], counts[present]
                k = torch.searchsorted(present, k)
            flat, room = places(k, counts)
            grouped = z.new_zeros(len(counts) * room, z.shape[1]).index_copy(0, flat, z)
            found = self._layers(grouped.unflatten(0, (len(counts), room)), tensors, order, local)
            found = found.map(lambda t: t.flatten(0, 1).index_select(0, flat))
        else:
            found = self._layers(z.unsqueeze(1), [tensor[k] for tensor in tensors], order, local)
            found = found.map(lambda t: t.squeeze(1))
        gradient = None if found.gradient is None else found.gradient * self.scale.to(x.dtype)
        return Jet(found.value, gradient, found.second, operators)

    def _layers(self, z: Tensor, tensors: list[Tensor], order: int, operators: Tensor | None) -> Jet:
        """The jets of as many networks as the tensors have in front, at their own points z (K, N, D)."""
        stack = self.networks
        jet = cast("Jet", stack.encoding(coordinates(z, order, operators)))
        if order == 0 and eager(z, *tensors) and not any(p.requires_grad for p in stack.activation.parameters()):
            return Jet(network.value(stack._pointwise, jet.value, tensors))
        for i in range(len(stack.layers)):
            jet = stack.activation.layer(jet, tensors[2 * i], tensors[2 * i + 1], stack.is_first(i))
        return linear(jet, tensors[-2], tensors[-1])

    def _windowed(self, jet: Jet, w: Tensor, dw: Tensor, ddw: Tensor) -> Jet:
        """The jet of w g from that of g, the windows (N,) and their derivatives along the axis, per unit of x."""
        w, dw, ddw = (part[:, None].to(jet.value.dtype) for part in (w, dw, ddw))
        parts = [w * jet.value]
        if jet.gradient is not None:
            along = torch.zeros_like(jet.gradient[0, 0])
            along[self.axis] = 1
            parts.append(w[..., None] * jet.gradient + (dw * jet.value)[..., None] * along)
            if jet.second is not None:
                share = 1.0 if jet.operators is None else jet.operators[:, self.axis].to(w)
                own = 2 * dw * jet.gradient[..., self.axis] + ddw * jet.value
                parts.append(w[..., None] * jet.second + own[..., None] * share)
        return jet.of(parts)

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (..., C) at coordinates x: (..., D)."""
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*x.shape[:-1], value.shape[-1])


def _step(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The quintic S, S', S'' at t in [1/2, 1]; 1, 0, 0 at 1."""
    return t**3 * (t * (6 * t - 15) + 10), 30 * (t * (t - 1)) ** 2, 60 * t * (t - 1) * (2 * t - 1)
