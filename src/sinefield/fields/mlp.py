"""The coordinate network: an MLP from coordinates to channels that answers with its jet.

    h_0 = encoding(x)      h_{i+1} = s(W_i h_i + b_i), i = 0 .. depth      f(x) = W h_{depth+1} + b

Source: Sitzmann et al., arXiv 2006.09661, eq. 4, where depth = 3 means 3 hidden layers behind the first.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from sinefield.activations.base import Activation
from sinefield.activations.sine import Sine
from sinefield.core.jet import Derivatives, Jet, coordinates, linear
from sinefield.encodings.base import Encoding
from sinefield.encodings.identity import Identity
from sinefield.errors import integer, require
from sinefield.fields import layerwise
from sinefield.kernels import network
from sinefield.kernels.dispatch import eager

MOST = 10**9  # weights, 4 GB: four times that with their gradient and Adam's moments


class CoordinateMLP(nn.Module):
    """f: R^D -> R^C, with value, gradient and Laplacian in one forward pass.

    Args:
        in_features: D, the number of coordinates.
        out_features: C, the number of channels.
        width: neurons per layer.
        depth: hidden layers behind the first: depth + 1 activations in all; -1 for the head alone, linear in the
            features of the encoding, in which `width` has no use.
        activation: s, s', s'' and the initialisation; holds for every layer.
        encoding: what the coordinates pass before the first layer; None for the coordinates themselves.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        width: int = 256,
        depth: int = 3,
        *,
        activation: Activation,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__()
        encoding = Identity(integer("field.in_features", in_features, least=1)) if encoding is None else encoding
        for name, part, kind in (("activation", activation, Activation), ("encoding", encoding, Encoding)):
            cure = f"with a _target_, such as those in conf/{name}"
            require(isinstance(part, kind), f"field.{name} must be an {kind.__name__} {cure}, not {part!r}")
        self.encoding, self.activation = encoding, activation
        width, depth = integer("field.width", width, least=1), integer("field.depth", depth, least=-1, most=1000)
        count = (encoding.features + width * depth) * width if depth >= 0 else encoding.features
        many = f"field.width={width} and field.depth={depth} make {count:,} weights, of {MOST:,} at most"
        require(count <= MOST, many)
        widths = [encoding.features] + [width] * (depth + 1)
        layers = [nn.Linear(*pair) for pair in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(widths[-1], integer("field.out_features", out_features, least=1))
        for i, layer in enumerate(layers):
            activation.initialize(layer, self.is_first(i))
        activation.initialize_head(self.head)

    @property
    def stack(self) -> torch.Size:
        """(K,) for K networks at once, with this axis in front of every tensor and answer (stack.py); () for one."""
        return self.head.weight.shape[:-2]

    @property
    def max_order(self) -> int:
        """How many of the field's derivatives carry information: 1 where the Laplacian is zero almost everywhere."""
        return 2 if self.encoding.has_second_derivative else self.activation.max_order

    def jet(
        self, x: Tensor, order: int, operators: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> Jet:
        """Value (N, C), gradient (N, C, D) and M sums of second derivatives (N, C, M), as deep as `order` asks.

        Args:
            x: (N, D) coordinates; for K networks also (K, N, D), points of its own for each.
            order: 0 value, 1 and gradient, 2 and second derivatives, per unit of x.
            operators: A, (M, D), of the sums ``sum_d A[m, d] d2f/dx_d2``; None for the Laplacian, M = 1.
            parameters: tensors in the place of the field's own, by the names of `named_parameters`: from a
                hypernetwork, an inner loop, or under torch.func.vmap.

        Raises:
            UserError: derivatives are asked of layers that have none, such as quantised ones.
        """
        if parameters is not None:
            return layerwise.jet_given(self, parameters, x, order, operators)
        if layerwise.wanted(self, x):
            return layerwise.jet(self, x, order, operators)
        tensors = self._tensors()
        kernels = eager(x, *tensors) and not any(p.requires_grad for p in self.activation.parameters())
        if order == 0 and kernels:
            return Jet(network.value(self._pointwise, self._encoded(x, 0).value, tensors))
        if order == 1 and kernels and self.head.out_features < x.shape[-1]:
            return self.reverse_jet(x)
        return linear(self.features(x, order, operators), self.head.weight, self.head.bias)

    def features(self, x: Tensor, order: int, operators: Tensor | None = None) -> Jet:
        """The jet of h_{depth+1}, `width` channels, of which the head makes a linear map; arguments as of `jet`."""
        jet = self._encoded(x, order, operators)
        for i, layer in enumerate(self.linear_maps()):
            jet = self.activation.layer(jet, layer.weight, layer.bias, self.is_first(i))
        return jet

    def reverse_jet(self, x: Tensor) -> Jet:
        """The jet of order 1 in reverse, back through the layers, C passes instead of D: cheaper where C < D.

            G_depth = W_head      G_{i-1} = (G_i s'(z_i)) W_i      df/dx = G_{-1} d encoding/dx

        Source: reverse accumulation, Griewank & Walther (2008), sec. 3.2.
        """
        inputs = self._encoded(x, 1)
        trained = any(p.requires_grad for p in self.activation.parameters())  # which the kernel knows nothing of
        if trained:
            value, gradient = network.plain(self._pointwise, True, inputs.value, *self._tensors())
        else:
            value, gradient = network.reverse_gradient(self._pointwise, inputs.value, self._tensors())
        assert inputs.gradient is not None
        return Jet(value, torch.einsum("...cnf,...nfd->...ncd", gradient, inputs.gradient))

    def is_first(self, i: int) -> bool:
        """Whether layer i has the coordinates themselves in front; behind an encoding's waves all layers are hidden."""
        return i == 0 and not self.encoding.has_second_derivative

    def _tensors(self) -> list[Tensor]:
        """W and b of every layer, in order."""
        return [part for layer in [*self.linear_maps(), self.head] for part in (layer.weight, layer.bias)]

    def _pointwise(self, z: Tensor, order: int, first: bool) -> Derivatives:
        """The activation behind the layer that is `first`, or behind another."""
        return cast("Derivatives", self.activation(z, order, first and self.is_first(0)))

    def _encoded(self, x: Tensor, order: int, operators: Tensor | None = None) -> Jet:
        """The jet of what goes into the first layer, with K in front for K networks."""
        x = x.expand(*self.stack, *x.shape[-2:])
        return cast("Jet", self.encoding(coordinates(x, order, operators)))

    def linear_maps(self) -> list[nn.Linear]:
        """The layers in front of the activations, in order."""
        return cast("list[nn.Linear]", list(self.layers))

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (..., C) at coordinates x: (..., D)."""
        if layerwise.wanted(self, x):
            return layerwise.jet(self, x, 0).value
        if x.dim() == 2:
            return self.jet(x, 0).value
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*self.stack, *x.shape[:-1], value.shape[-1])


class Siren(CoordinateMLP):
    """The sinusoidal representation network of the paper.

    Args:
        in_features, out_features, width, depth: as of `CoordinateMLP`.
        omega0: w0 of every layer, in sin(w0 (W x + b)).

    >>> import torch
    >>> field = Siren(2, 3, width=64, depth=2)
    >>> field(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    >>> jet = field.jet(torch.zeros(5, 2), order=2)
    >>> jet.gradient.shape, jet.laplacian.shape
    (torch.Size([5, 3, 2]), torch.Size([5, 3]))
    """

    def __init__(
        self, in_features: int, out_features: int, width: int = 256, depth: int = 3, omega0: float = 30.0
    ) -> None:
        super().__init__(in_features, out_features, width, depth, activation=Sine(omega0))
