"""No encoder: the codes are parameters, one for each picture, an auto-decoder.

Source: Park et al., DeepSDF, arXiv 1901.05103.
"""

import torch
from torch import Tensor, nn

from sinefield.errors import integer
from sinefield.fields.conditional import Observation
from sinefield.fields.encoders.base import Encoder


class Table(Encoder):
    """A row for every picture of the collection, 0 at the start, as the code of a picture that is in none.

    Args:
        code: K.
        pictures: of the collection.
    """

    def __init__(self, code: int, pictures: int) -> None:
        super().__init__(code)
        self.rows = nn.Parameter(torch.zeros(integer("encoder.pictures", pictures, least=1), self.code))

    def forward(self, observation: Observation) -> Tensor:
        """(P, K)."""
        known = (observation.numbers >= 0).unsqueeze(1)
        return torch.where(known, self.rows[observation.numbers.clamp(min=0)], 0.0)
