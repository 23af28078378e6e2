"""A radiance field: density at every place, and the colour that is seen there from a direction.

    (r, g) = base(x)      density = softplus(r - 4)      colour = tanh(W_2 s(W_1 [g, Y(d)] + b_1) + b_2)

g are features of the place, and Y(d) the nine real spherical harmonics of degree 2 at most, but for their scale, of the
direction d in which a ray goes. At the start the box is nearly transparent: softplus(-4) = 0.02.
Source: Mildenhall et al. (NeRF), arXiv 2003.08934, whose second head this is; Müller et al., arXiv 2201.05989, app. B.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sinefield.activations.base import Activation
from sinefield.core.jet import Derivatives, Jet, concatenate, elementwise, linear
from sinefield.encodings.base import Encoding
from sinefield.errors import integer, require
from sinefield.fields import layerwise
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.over_base import OverBase

_DIRECTIONS = 9  # polynomials
_START = -4.0


class RadianceField(OverBase):
    """R^3 -> density and colour (N, 4), with value, gradient and second derivatives by the place.

    Args:
        in_features, out_features: 3 and 4.
        width, depth, activation, encoding: of the base, as of `CoordinateMLP`; the layer that sees the direction is as
            wide.
        features: of the place, which the colour is made of.

    >>> from sinefield.activations.sine import Sine
    >>> field = RadianceField(3, 4, width=32, depth=1, activation=Sine())
    >>> field(torch.rand(5, 3)).shape, field(torch.rand(5, 6)).shape  # without and with directions
    (torch.Size([5, 4]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        in_features: int = 3,
        out_features: int = 4,
        width: int = 64,
        depth: int = 1,
        features: int = 15,
        *,
        activation: Activation,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__()
        said = f"and this signal has {in_features} coordinates and {out_features} channels; take signal=scene"
        require((in_features, out_features) == (3, 4), f"field=radiance is for density and colour in space, {said}")
        count = integer("field.features", features, least=1)
        self.base = CoordinateMLP(3, 1 + count, width, depth, activation=activation, encoding=encoding)
        self.colour = nn.Linear(count + _DIRECTIONS, width)
        self.light = nn.Linear(width, 3)
        activation.initialize(self.colour, False)
        nn.init.uniform_(self.light.weight, -0.1, 0.1)

    def jet(
        self,
        x: Tensor,
        order: int,
        operators: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Jet:
        """Value (N, 4), gradient (N, 4, 3) and M sums of second derivatives (N, 4, M) by the place.

        Args:
            x: (N, 3) places, or (N, 6 or more) with the unit vectors along which they are looked at behind them; a
                place without one has the colour of none, Y = 0.
            order, operators, parameters: as of `CoordinateMLP.jet`.
        """
        if parameters is not None:
            return layerwise.jet_given(cast("CoordinateMLP", self), parameters, x, order, operators)
        found = self.base.jet(x[:, :3], order, operators)
        seen = _polynomials(x[:, 3:6]) if x.shape[1] >= 6 else x.new_zeros(len(x), _DIRECTIONS)
        density = elementwise(_channels(found, slice(1)), _softplus)
        inputs = concatenate([_channels(found, slice(1, None)), _constant(seen, found)])
        hidden = self.activation.layer(inputs, self.colour.weight, self.colour.bias)
        colour = elementwise(linear(hidden, self.light.weight, self.light.bias), _tanh)
        return concatenate([density, colour])

    def forward(self, x: Tensor) -> Tensor:
        """(..., 4) at places x: (..., 3), or with directions behind them."""
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*x.shape[:-1], 4)


def _channels(jet: Jet, which: slice) -> Jet:
    return jet.of([jet.value[:, which], *(part[:, which] for part in jet.parts[1:])])


def _constant(value: Tensor, like: Jet) -> Jet:
    """The jet of what does not depend on the place."""
    return like.of([value, *(part.new_zeros(*value.shape, part.shape[-1]) for part in like.parts[1:])])


def _polynomials(d: Tensor) -> Tensor:
    """(N, 9) of unit vectors (N, 3), each of about the same mean square over the sphere."""
    x, y, z = d.unbind(1)
    linear_, products = [1.7 * x, 1.7 * y, 1.7 * z], [3.9 * x * y, 3.9 * y * z, 3.9 * x * z]
    squares = [1.1 * (3 * z * z - 1), 1.9 * (x * x - y * y)]
    return torch.stack([torch.ones_like(x), *linear_, *products, *squares], dim=1)


def _softplus(z: Tensor, order: int) -> Derivatives:
    slope = torch.sigmoid(z + _START)
    return (functional.softplus(z + _START), slope, slope * (1 - slope))[: order + 1]


def _tanh(z: Tensor, order: int) -> Derivatives:
    value = torch.tanh(z)
    slope = 1 - value.square()
    return (value, slope, -2 * value * slope)[: order + 1]
