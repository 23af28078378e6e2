"""What a propagator answers: the data that receivers record of waves in a medium, differentiable by the medium."""

from abc import ABC, abstractmethod

from torch import Tensor


class Propagator(ABC):
    """Waves in a medium on a grid (H, W), from sources to receivers that lie on nodes of it.

    Attributes:
        apart: whether the A curves are of unlike kinds, such as frequencies, each of which counts as much in a misfit.
    """

    apart: bool = False

    @abstractmethod
    def __call__(self, medium: Tensor, sources: Tensor, receivers: Tensor) -> Tensor:
        """The data (S, A, B) of S sources, real: A curves of B numbers each; torch differentiates them by the medium.

        Args:
            medium: (H, W), in the propagator's own unit.
            sources, receivers: (S, 2) and (R, 2), numbers of nodes, (row, column).
        """
