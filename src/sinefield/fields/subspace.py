"""A linear space of functions, learned from many pictures, whose code is solved for from what is seen.

    f(x; z) = (W + sum_k z_k D_k) H(x)        z ~ N(0, 1),   error ~ N(0, r),   H = [h(x), 1]
    z | seen = argmin_z  sum_seen |f(x_i; z) - v_i|^2 / r + |z|^2 = (A^T A + r I)^-1 A^T (v - f(x; 0))

h are the base's last hidden features, and A the functions D_k H at what is seen. It starts as the principal
components of the training pictures, written in h, and is trained through the solution from there: r, D, W and h.

A code leaves something of each picture. Its covariance, Q Q^T of a last layer's weights, says how a field of the
picture's own, a Gaussian process around that of the code, goes through the pixels that are seen (kriging):

    f(x) = f(x; z) + H(x) Q G^T (G G^T + e I)^-1 (v - f(x_i; z))        G = H Q at the pixels seen,   e = 1e-5

Pictures count alike, each by its own mean square, whatever their contrast. Few pictures say little of S pixels: of P
with C channels the share (S / (S + P C))^(1/2) is the mean over all pairs of pixels that lie alike, a stationary
covariance. The root, since pictures are not independent; measured in docs/priors.md.
Sources: Tipping and Bishop, Probabilistic principal component analysis, J. R. Stat. Soc. B 61, 1999; Harrison et al.,
Meta-learning priors for efficient online Bayesian regression (ALPaCA), arXiv 1807.08912.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinefield.errors import integer
from sinefield.fields.coded import Coded
from sinefield.fields.components import Components
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import CoordinateMLP

_STIFF = 1e-5  # the least bending of a feature, over the largest
_RIDGE = 1e-8  # of the features' mean square, where the start is written in them
_NOISE = 1e-5  # e: rounding to 8 bits has the mean square (2 / 255)^2 / 12 = 5e-6


class Subspace(Coded):
    """A base network whose last layer is linear in the code.

    Args:
        base: the coordinate network.
        dims: D.
        code: K.
    """

    left: Tensor

    def __init__(self, base: CoordinateMLP, dims: int, code: int = 128) -> None:
        super().__init__(base, dims)
        self.code = integer("field.code", code, least=1)
        channels, features = base.head.weight.shape
        self.directions = nn.Parameter(torch.randn(self.code, channels, features + 1) / (features * self.code) ** 0.5)
        self.rest = nn.Parameter(torch.tensor(0.1).log())  # log r
        self.register_buffer("left", torch.eye(features + 1) / features**0.5)  # Q

    @torch.no_grad()
    def begin(self, x: Tensor, pictures: Tensor) -> None:
        """Become the principal components of pictures (P, S, C), at the points x (S, D)."""
        found = Components(pictures, self.code)
        write = self._writing(x)
        parts = torch.cat([found.mean[..., None], found.directions], dim=-1)  # (S, C, K + 1)
        made = torch.einsum("fs,sck->fck", write, parts.double()).to(parts)
        self.base.head.weight.copy_(made[:-1, :, 0].T)
        self.base.head.bias.copy_(made[-1, :, 0])
        self.directions.zero_()[: made.shape[-1] - 1] = made[..., 1:].permute(2, 1, 0)
        self.rest.copy_(found.rest.log())
        contrast = (found.left.square().mean((1, 2)) + 1e-3 * found.rest).sqrt()
        left = (found.left / contrast[:, None, None]).movedim(1, 2).flatten(0, 1).double()  # (P C, S)
        share = (len(x) / (len(x) + len(left))) ** 0.5
        own = left.T @ left / len(left)
        squares, mixtures = torch.linalg.eigh(found.rest * ((1 - share) * own + share * _stationary(own, x)))
        root = torch.linalg.qr((mixtures * squares.clamp(min=0).sqrt()).T @ write.T).R.T
        self.left.zero_()[:, : root.shape[1]] = root

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

    def refine(
        self, observation: Observation, spread: Tensor, steps: int = 0, rate: float = 0.0, off: float = 0.0
    ) -> Tensor:
        """(P, K), what `encode` gives: there are no likelier codes, and nothing descends."""
        with torch.no_grad():
            return self.encode(observation)

    @torch.no_grad()
    def tune(self, code: Tensor, observation: Observation, steps: int = 0, rate: float = 0.0) -> CoordinateMLP:
        """The stack of P fields after the likeliest change of each last layer that gives the pixels seen; at once."""
        stack = self.fields(code)
        h = self._features(observation.x) @ self.left
        lacking = observation.values - stack.jet(observation.x.expand(len(observation.seen), -1, -1), 0).value
        for k, seen in enumerate(observation.seen):
            known = h[seen]
            likely = known @ known.T + _NOISE * torch.eye(len(known)).to(h)
            change = self.left @ (known.T @ torch.linalg.solve(likely, lacking[k, seen]))
            stack.head.weight[k] += change[:-1].T
            stack.head.bias[k] += change[-1]
        return stack

    def _writing(self, x: Tensor) -> Tensor:
        """(F + 1, S): from values at the points x (S, D) to the last layer of the smoothest function that has them.

        w = B H^T (H B H^T)^-1 v        1 / B = mean squares of the Laplacians of H, over the largest
        """
        laplacian = self.base.features(x, 2).laplacian
        assert laplacian is not None
        bending = laplacian.double().square().mean(0)
        root = torch.cat([bending / bending.max(), bending.new_zeros(1)]).clamp(min=_STIFF).rsqrt()
        scaled = self._features(x).double() * root
        inner = scaled @ scaled.T
        inner += _RIDGE * inner.diagonal().mean() * torch.eye(len(inner)).to(inner)
        return root[:, None] * torch.linalg.solve(inner, scaled).T

    def _features(self, x: Tensor) -> Tensor:
        """(S, F + 1), h and 1."""
        h = self.base.features(x, 0).value
        return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)


def _stationary(covariance: Tensor, x: Tensor) -> Tensor:
    """(S, S), the mean of a covariance (S, S) over all pairs of the grid's points x (S, D) that are apart alike."""
    spacing = (x[1] - x[0]).norm()
    apart = ((x[:, None] - x) / spacing).round().flatten(0, 1)
    _, pair = (apart @ (2.0 * len(x)) ** torch.arange(x.shape[1]).to(x)).unique(return_inverse=True)
    return (pair.bincount(covariance.flatten()) / pair.bincount())[pair].view_as(covariance)
