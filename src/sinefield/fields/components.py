"""Principal components as a prior over pictures: the linear rival of a field with a code of as many numbers.

    s = m + D z + e,   z ~ N(0, 1),   e ~ N(0, r)        z | seen = argmin |m + D z - s|^2 / r + |z|^2

D are the first K principal directions of the training pictures, each times its deviation, and r is the mean square of
what they leave. Source: Tipping and Bishop, Probabilistic principal component analysis, J. R. Stat. Soc. B 61, 1999.
"""

import torch
from torch import Tensor

from sinefield.fields.conditional import Observation


class Components:
    """A Gaussian over pictures.

    Args:
        pictures: (P, S, C) to learn from.
        count: K, at most P - 1.
    """

    def __init__(self, pictures: Tensor, count: int) -> None:
        self.mean = pictures.mean(0)
        centred = (pictures - self.mean).flatten(1)
        squares, mixtures = torch.linalg.eigh(centred @ centred.T)  # of P x P: pictures are few, pixels many
        count = min(count, len(pictures) - 1)
        self.directions = (centred.T @ mixtures[:, -count:] / len(pictures) ** 0.5).unflatten(0, self.mean.shape)
        self.rest = ((squares.sum() - squares[-count:].sum()) / centred.numel()).clamp(min=1e-6)

    def left(self, pictures: Tensor) -> Tensor:
        """(S, S), the covariance of what the components leave of pictures (P, S, C), the mean over channels."""
        along = self.directions.flatten(0, 1)
        off = (pictures - self.mean).flatten(1)
        off = (off - torch.linalg.lstsq(along, off.T).solution.T @ along.T).view_as(pictures)
        return torch.einsum("psc,ptc->st", off, off) / (off.shape[0] * off.shape[2])

    def complete(self, observation: Observation) -> Tensor:
        """(P, S, C), the most likely pictures with the pixels that are seen."""
        found = []
        for values, seen in zip(observation.values, observation.seen, strict=True):
            known = self.directions[seen].flatten(0, 1)
            inner = known.T @ known + self.rest * torch.eye(known.shape[1]).to(known)
            z = torch.linalg.solve(inner, known.T @ (values - self.mean)[seen].flatten())
            found.append(self.mean + self.directions @ z)
        return torch.stack(found)
