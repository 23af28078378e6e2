"""A prior for what lies between the samples of a picture: small networks of sines, made of the samples around.

    f(u) = spline(u) + sum_k w(u - k) (g(u - k; m_k) - g(0; m_k))        u in samples, k all samples

w is the partition of unity ``(1 - S(|u_x|)) (1 - S(|u_y|))`` with the quintic ``S(t) = 6 t^5 - 15 t^4 + 10 t^3``, which
is 0 from the neighbouring samples on: four networks count at a point, f is twice continuously differentiable, and at
the samples it is the spline, so it keeps them exactly. g is one network R^2 -> R for all, whose biases and last layer
m_k shifts; value, gradient and second derivatives follow by the product rule. A convolutional trunk makes m_k of the
samples within `reach` of k, each less the mean of the 5 x 5 around it and over their deviation (at least `floor`), by
which g is multiplied: so ``a s + b`` gives ``a f + b`` as far as the contrast is above the floor. Its layers add to
what they are given, ``h + C relu(h)`` (He et al., Identity mappings in deep residual networks, arXiv 1603.05027).

Sources: Sitzmann et al., arXiv 2006.09661, sec. 4.4 (a prior over the weights of a SIREN); Melenk & Babuška, The
partition of unity finite element method (1996); Mehta et al., Modulated periodic activations, arXiv 2104.03960.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sinefield.core.jet import Jet, coordinates, elementwise, linear
from sinefield.core.lattice import chain, neighbours, products
from sinefield.core.product import multiply
from sinefield.errors import integer, require
from sinefield.fields import layerwise
from sinefield.fields.bspline import cubics, interpolation
from sinefield.fields.conditional import OverPictures
from sinefield.fields.mlp import CoordinateMLP

_AROUND = 2  # samples on either side that a sample is normalised by


class LocalPrior(OverPictures):
    """f: R^2 -> R for every grey picture that it is shown, from the samples around a point.

    Args:
        base: g, with 2 coordinates and 1 channel.
        features: channels of the trunk's layers.
        depth: of its 3 x 3 layers behind the first, which is 5 x 5.
        floor: the least deviation that samples are divided by, in values from -1 to 1.
        exact: keep the samples; False leaves ``g(0; m_k)`` in, for samples that are blurred or noisy.
    """

    def __init__(
        self, base: CoordinateMLP, features: int = 48, depth: int = 4, floor: float = 0.01, exact: bool = True
    ) -> None:
        super().__init__(base, 2)
        fits = (base.head.out_features, base.encoding.features) == (1, 2)
        require(fits, "field.base must take 2 coordinates and give 1 channel, without an encoding")
        features, depth = integer("field.features", features, least=1), integer("field.depth", depth, least=0)
        self.floor, self.exact = floor, exact
        self.first = nn.Conv2d(1, features, 5)
        self.trunk = nn.ModuleList(nn.Conv2d(features, features, 3) for _ in range(depth))
        self.widths = [layer.out_features for layer in (*base.linear_maps(), base.linear_maps()[-1])]
        self.codes = nn.Conv2d(features, sum(self.widths), 1)  # the shifts of all layers, and the last layer
        with torch.no_grad():
            self.codes.weight[-self.widths[-1] :] = 0  # the start is the spline
        for start in (self.codes.bias, base.head.weight):
            nn.init.zeros_(cast("Tensor", start))

    @property
    def reach(self) -> int:
        """Samples on either side that m_k is made of."""
        return _AROUND + 2 + len(self.trunk)

    def make(self, samples: Tensor) -> Tensor:
        """m_k of all samples (P, H, W) but the outermost `reach`, (P, H - 2 reach, W - 2 reach, K).

        The last of the K is what g is moved by, -g(0; m_k).
        """
        planes = samples.unsqueeze(1)
        mean = functional.avg_pool2d(planes, 2 * _AROUND + 1, 1)
        inner = _inside(planes, _AROUND)
        spread = (functional.avg_pool2d(planes.square(), 2 * _AROUND + 1, 1) - mean.square()).clamp(min=0)
        spread = (spread + self.floor**2).sqrt()
        h = self.first((inner - mean) / spread)
        for layer in self.trunk:
            h = _inside(h, 1) + layer(h.relu())
        *shifts, last = self.codes(h.relu()).movedim(1, -1).split(self.widths, dim=-1)
        last = (last + self.head.weight) * _inside(spread, self.reach - _AROUND).movedim(1, -1)
        made = torch.cat([*shifts, last], dim=-1)
        move = made.new_zeros(*made.shape[:3], 1)
        if self.exact:
            origin = made.new_zeros(move.numel(), 2)
            move = -self._local(origin, made.flatten(0, 2), 0).value.view_as(move)
        return torch.cat([made, move], dim=-1)

    def _local(self, y: Tensor, made: Tensor, order: int, operators: Tensor | None = None) -> Jet:
        """The jet of g at y (N, 2), (N, 1) in value, with what is made for each point (N, K - 1)."""
        *shifts, last = made.split(self.widths, dim=-1)
        jet = coordinates(y, order, operators)
        for i, (layer, shift) in enumerate(zip(self.base.linear_maps(), shifts, strict=True)):
            jet = linear(jet, layer.weight, layer.bias)
            jet = elementwise(
                jet._replace(value=jet.value + shift), partial(self.activation, first=self.base.is_first(i))
            )
        value = (jet.value * last).sum(1, keepdim=True)
        return jet.of([value, *((part * last.unsqueeze(-1)).sum(1, keepdim=True) for part in jet.parts[1:])])

    def correction(self, made: Tensor, rows: Tensor, t: Tensor, order: int, operators: Tensor | None = None) -> Jet:
        """The jet of f - spline, (N, 1) in value, per sample.

        Args:
            made: (M, K), as `make` has it.
            rows: (N, 4) of `made`, for the samples around each point in the order of `neighbours`, x first.
            t: (N, 2), the point less the first of them, in [0, 1].
            order, operators: as of `CoordinateMLP.jet`.
        """
        corners = neighbours(2, 2, t.device)
        own = made.index_select(0, rows.flatten())
        y = (t.unsqueeze(1) - corners).flatten(0, 1)
        g = self._local(y, own[:, :-1], order, operators)
        g = g._replace(value=g.value + own[:, -1:]).map(lambda part: part.unflatten(0, (-1, 4)).squeeze(2))
        steps = [torch.stack([c - s, s], dim=-1) for c, s in zip((1, 0, 0), _step(t)[: order + 1], strict=False)]
        w = chain(coordinates(t, order, operators), products(steps, torch.eye(4).to(t)))
        w = w._replace(operators=operators)
        return multiply(w, g._replace(operators=operators)).map(lambda part: part.sum(1, keepdim=True))

    def jet(
        self, x: Tensor, order: int, operators: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> Jet:
        """Value (N, 1), gradient (N, 1, 2) and M sums of second derivatives (N, 1, M), at x (N, 4).

        Points lie at least `reach` samples inside of what is seen.
        """
        if parameters is not None:
            return layerwise.jet_given(cast("CoordinateMLP", self), parameters, x, order, operators)
        seen, row = self.seen_at(x)
        height, width = seen.shape
        samples = seen.values.unflatten(1, (height, width)).squeeze(-1).to(x.dtype)
        spacing = seen.x[1, 0] - seen.x[0, 0]
        u = (x[:, :2] - seen.x[0]) / spacing
        cell = u.detach().floor().minimum(u.new_tensor([width - 2.0, height - 2.0]) - self.reach).clamp(min=self.reach)
        made = self.make(samples)
        rows = _rows(made.shape[1:3], row, cell.long() - self.reach, 2)
        found = self.correction(made.flatten(0, 2), rows, u - cell, order, operators)
        down, across = (interpolation(n).to(x) for n in (height, width))
        c = down @ samples @ across.mT
        taps = c.flatten()[_rows(c.shape[1:], row, cell.long(), 4)].unsqueeze(-1)
        spline = chain(coordinates(u, order, operators), products(cubics(u - cell, order), taps))
        both = (a + b for a, b in zip(found.parts, spline.parts, strict=True))
        return spline.of([part / spacing**depth for depth, part in enumerate(both)])

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (..., 1) at points x: (..., 4)."""
        value = self.jet(x.reshape(-1, x.shape[-1]), 0).value
        return value.reshape(*x.shape[:-1], 1)


def _inside(planes: Tensor, margin: int) -> Tensor:
    """(P, C, H, W) without so many samples along the border."""
    return planes[..., margin : planes.shape[-2] - margin, margin : planes.shape[-1] - margin]


def _rows(shape: torch.Size, picture: Tensor, cell: Tensor, points: int) -> Tensor:
    """(N, points^2), the rows of P pictures (P, H, W), flat, for the lattice points from `cell` (N, 2) on, x first."""
    height, width = shape
    steps = torch.tensor([1, width], device=cell.device)
    around = ((cell.unsqueeze(1) + neighbours(points, 2, cell.device)) * steps).sum(-1)
    return around + (picture * height * width).unsqueeze(1)


def _step(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The quintic S, S', S'' at t in [0, 1]."""
    return t**3 * (t * (6 * t - 15) + 10), 30 * (t * (t - 1)) ** 2, 60 * t * (t - 1) * (2 * t - 1)
