"""Principal components as a prior over pictures: the linear rival of a field with a code of as many numbers.

    s = m + D z + e,   z ~ N(0, 1),   e ~ N(0, r)        z | seen = argmin |m + D z - s|^2 / r + |z|^2

D are the first K principal directions of the training pictures, each times its deviation. r is the mean square of what
those of one half of the pictures leave of the other half: of the pictures that they were made of they leave less, and
of K pictures or fewer nothing.
Source: Tipping and Bishop, Probabilistic principal component analysis, J. R. Stat. Soc. B 61, 1999.
"""

import torch
from torch import Tensor

from sinefield.fields.conditional import Observation


class Components:
    """A Gaussian over pictures.

    Args:
        pictures: (P, S, C) to learn from; nearly equal ones next to each other, so that they fall into one half.
        count: K, at most P - 1.

    Attributes:
        mean, directions: (S, C) and (S, C, K).
        left: (P, S, C), what the components of either half of the pictures leave of the other.
        rest: r.
    """

    def __init__(self, pictures: Tensor, count: int) -> None:
        self.mean, self.directions = _principal(pictures, count)
        one, other = pictures.tensor_split(2) if len(pictures) > 1 else (pictures, pictures)
        left = [_left(a, *_principal(b, count)) for a, b in ((one, other), (other, one))]
        self.left = torch.cat(left)[: len(pictures)]
        self.rest = self.left.square().mean().clamp(min=1e-6)

    def complete(self, observation: Observation) -> Tensor:
        """(P, S, C), the most likely pictures with the pixels that are seen."""
        found = []
        for values, seen in zip(observation.values, observation.seen, strict=True):
            known = self.directions[seen].flatten(0, 1)
            inner = known.T @ known + self.rest * torch.eye(known.shape[1]).to(known)
            z = torch.linalg.solve(inner, known.T @ (values - self.mean)[seen].flatten())
            found.append(self.mean + self.directions @ z)
        return torch.stack(found)


def _principal(pictures: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean (S, C) of pictures (P, S, C), and their first principal directions (S, C, K) times their deviations."""
    mean = pictures.mean(0)
    centred = (pictures - mean).flatten(1)
    _, mixtures = torch.linalg.eigh(centred @ centred.T)  # of P x P: pictures are few, pixels many
    first = mixtures[:, len(pictures) - min(count, len(pictures) - 1) :]
    return mean, (centred.T @ first / len(pictures) ** 0.5).unflatten(0, mean.shape)


def _left(pictures: Tensor, mean: Tensor, directions: Tensor) -> Tensor:
    """(P, S, C), pictures less their projections on directions, which are orthogonal."""
    off, along = (pictures - mean).flatten(1), directions.flatten(0, 1)
    along = along / along.norm(dim=0).clamp(min=1e-12)
    return (off - off @ along @ along.T).view_as(pictures)
