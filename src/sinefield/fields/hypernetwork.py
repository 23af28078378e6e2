"""A hypernetwork: all weights of the base are made of the code, each tensor by a ReLU network of its own.

    theta_t = start_t + u_t N_t(z)

u_t is the root mean square of the start, so that N_t speaks of all tensors in like units and one rate does for all.
Source: Sitzmann et al., arXiv 2006.09661, sec. 4.4 and supplement 7; Ha et al., arXiv 1609.09106.
"""

from torch import Tensor, nn

from sinefield.errors import integer
from sinefield.fields.coded import Encoded
from sinefield.fields.encoders.base import Encoder, perceptron
from sinefield.fields.heads import Heads
from sinefield.fields.mlp import CoordinateMLP


class Hypernetwork(Encoded):
    """A base network of which every weight and bias is made.

    Args:
        base, dims, encoder: as of `Encoded`.
        hidden: neurons of the network of each tensor, in one layer.
    """

    def __init__(self, base: CoordinateMLP, dims: int, encoder: Encoder, hidden: int = 256) -> None:
        super().__init__(base, dims, encoder)
        start = dict(base.named_parameters())
        hidden = integer("field.hidden", hidden, least=1)
        self.hidden = nn.ModuleList(perceptron(encoder.code, hidden) for _ in start)
        self.heads = Heads(hidden, start)

    def weights(self, code: Tensor) -> dict[str, Tensor]:
        """(P, ...) for every parameter of the base."""
        return self.heads([layer(code).relu() for layer in self.hidden])
