"""A set of pixels: the mean over those that are seen of what a network makes of each.

    z = rho( 1/n sum_i phi(x_i, v_i) )

Source: Garnelo et al., Conditional Neural Processes, arXiv 1807.01613; Sitzmann et al., arXiv 2006.09661, sec. 4.4.
"""

import torch
from torch import Tensor

from sinefield.errors import integer
from sinefield.fields.conditional import Observation
from sinefield.fields.encoders.base import Encoder, perceptron


class Set(Encoder):
    """phi and rho are ReLU networks; the code of a picture of which nothing is seen is that of the mean 0.

    Args:
        code: K.
        channels: C of the pictures.
        dims: D of the coordinates.
        width: neurons of phi, and features that are averaged.
        depth: layers of phi.
    """

    def __init__(self, code: int, channels: int, dims: int = 2, width: int = 256, depth: int = 2) -> None:
        super().__init__(code)
        width, depth = integer("encoder.width", width, least=1), integer("encoder.depth", depth, least=1)
        self.phi = perceptron(dims + channels, *[width] * depth)
        self.rho = perceptron(width, width, self.code)

    def forward(self, observation: Observation) -> Tensor:
        """(P, K)."""
        picture, point = observation.seen.nonzero(as_tuple=True)
        features = self.phi(torch.cat([observation.x[point], observation.values[picture, point]], dim=1)).relu()
        total = features.new_zeros(len(observation.seen), features.shape[1]).index_add(0, picture, features)
        counts = observation.seen.sum(1, keepdim=True).clamp(min=1)
        return self.rho(total / counts)
