"""Convolutions over the pixels that are seen, with the rest filled in from coarser and coarser means, and marked.

A pixel that is not seen takes the mean of what is seen in the smallest cell of 2, 4, 8, ... pixels around it that has
something. What the network reads are this filling, the seen values and which pixels are seen.
Source: Sitzmann et al., arXiv 2006.09661, sec. 4.4, whose convolutional encoder takes what is missing for grey; Gortler
et al., The Lumigraph, 1996 (pull and push).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sinefield.errors import integer, require
from sinefield.fields.conditional import Observation
from sinefield.fields.encoders.base import Encoder, perceptron

_CELLS = 4  # along each side of the last picture of features, whatever the size of the first


class Convolution(Encoder):
    """Strided convolutions to a few cells, and a linear map of all their features.

    Args:
        code: K.
        channels: C of the pictures, which have two axes.
        widths: features of each layer, which halves the sides.
    """

    def __init__(self, code: int, channels: int, widths: tuple[int, ...] | list[int] = (32, 64, 128)) -> None:
        super().__init__(code)
        require(len(widths) > 0, "encoder.widths must have a number for each layer, [32,64,128], not []")
        sizes = [2 * channels + 1, *(integer("encoder.widths", width, least=1) for width in widths)]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, behind, 3, stride=2, padding=1) for before, behind in pairwise(sizes)
        )
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.last = perceptron(sizes[-1] * _CELLS**2, self.code)

    def forward(self, observation: Observation) -> Tensor:
        """(P, K)."""
        seen = observation.seen.unflatten(1, observation.shape).unsqueeze(1).to(observation.values)
        values = observation.values.unflatten(1, observation.shape).movedim(-1, 1) * seen
        h = torch.cat([filled(values, seen), values, seen], dim=1)
        for layer in self.layers:
            h = layer(h).relu()
        return self.last(functional.adaptive_avg_pool2d(h, _CELLS).flatten(1))


def filled(values: Tensor, seen: Tensor) -> Tensor:
    """Pictures (P, C, H, W), 0 where `seen` (P, 1, H, W) is 0, with means of coarser cells there; 0 where nothing is.

    >>> picture, seen = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    >>> picture[..., 0, 0], seen[..., 0, 0], picture[..., 3, 3], seen[..., 3, 3] = 4.0, 1.0, 8.0, 1.0
    >>> filled(picture, seen)[0, 0].diagonal(), filled(picture, seen)[0, 0, 0, 3]
    (tensor([4., 4., 8., 8.]), tensor(6.))
    """
    if min(values.shape[-2:]) == 1 and max(values.shape[-2:]) == 1:
        return values
    side = [min(2, n) for n in values.shape[-2:]]
    share = functional.avg_pool2d(seen, side, ceil_mode=True)
    mean = functional.avg_pool2d(values, side, ceil_mode=True) / share.clamp(min=torch.finfo(values.dtype).tiny)
    there = (share > 0).to(values)
    coarse = filled(mean * there, there)
    spread = coarse.repeat_interleave(side[0], -2).repeat_interleave(side[1], -1)
    return torch.where(seen > 0, values, spread[..., : values.shape[-2], : values.shape[-1]])
