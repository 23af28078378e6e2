"""A linear space of functions, learned from many pictures, whose code is solved for from what is seen.

    f(x; z) = (W + sum_k z_k D_k) [h(x), 1]        z ~ N(0, 1),   error ~ N(0, r)
    z | seen = argmin_z  sum_seen |f(x_i; z) - v_i|^2 / r + |z|^2 = (A^T A + r I)^-1 A^T (v - f(x; 0))

h are the base's last hidden features, and A the functions D_k [h, 1] at what is seen. It starts as the principal
components of the training pictures, written in h, and is trained through the solution from there: r, D, W and h.
Sources: Tipping and Bishop, Probabilistic principal component analysis, J. R. Stat. Soc. B 61, 1999; Harrison et al.,
Meta-learning priors for efficient online Bayesian regression (ALPaCA), arXiv 1807.08912.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinefield.errors import integer
from sinefield.fields import completion
from sinefield.fields.coded import Coded
from sinefield.fields.components import Components
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import CoordinateMLP

_RIDGE = 1e-8  # of the features' mean square, where the start is written in them


class Subspace(Coded):
    """A base network whose last layer is linear in the code.

    Args:
        base: the coordinate network.
        dims: D.
        code: K.
    """

    solved = True

    def __init__(self, base: CoordinateMLP, dims: int, code: int = 128) -> None:
        super().__init__(base, dims)
        self.code = integer("field.code", code, least=1)
        channels, features = base.head.weight.shape
        self.directions = nn.Parameter(torch.randn(self.code, channels, features + 1) / (features * self.code) ** 0.5)
        self.rest = nn.Parameter(torch.tensor(0.1).log())  # log r

    @torch.no_grad()
    def begin(self, x: Tensor, pictures: Tensor) -> None:
        """Become the principal components of pictures (P, S, C), at the points x (S, D)."""
        found = Components(pictures, self.code)
        h = self._features(x)
        root = completion.bending(self.base, x).rsqrt()[:, None]
        parts = torch.cat([found.mean[..., None], found.directions], dim=-1).flatten(1)  # (S, C (K + 1))
        scaled = h.double() * root.T  # of all functions that have the values at x, the smoothest
        inner = scaled @ scaled.T
        ridge = _RIDGE * inner.diagonal().mean() * torch.eye(len(inner)).to(inner)
        made = (root * (scaled.T @ torch.linalg.solve(inner + ridge, parts.double()))).to(h)
        made = made.unflatten(1, (-1, found.directions.shape[-1] + 1))
        self.base.head.weight.copy_(made[:-1, :, 0].T)
        self.base.head.bias.copy_(made[-1, :, 0])
        self.directions.zero_()[: made.shape[-1] - 1] = made[..., 1:].permute(2, 1, 0)
        self.rest.copy_(found.rest.log())

    def encode(self, observation: Observation) -> Tensor:
        """(P, K), the most likely codes."""
        h = self._features(observation.x)
        functions = torch.einsum("sf,kcf->sck", h, self.directions)
        mean = nn.functional.linear(h[:, :-1], self.base.head.weight, self.base.head.bias)
        masked = (functions * observation.seen[..., None, None]).flatten(1, 2)  # (P, S C, K)
        off = (observation.values - mean).flatten(1)[..., None]
        inner = masked.mT @ masked + self.rest.exp() * torch.eye(self.code).to(h)
        return torch.linalg.solve(inner, masked.mT @ off).squeeze(-1)

    def weights(self, code: Tensor) -> dict[str, Tensor]:
        """(P, C, F) and (P, C) for the head."""
        made = torch.einsum("pk,kcf->pcf", code, self.directions)
        return {"head.weight": made[..., :-1], "head.bias": made[..., -1]}

    def _features(self, x: Tensor) -> Tensor:
        """(S, F + 1), h and 1."""
        h = self.base.features(x, 0).value
        return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)
