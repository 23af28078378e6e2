"""Rules that merge two gradient fields into one, as the shares of the two pictures at every point:

    v = w_a grad a + w_b grad b

Source: Pérez, Gangnet & Blake, Poisson Image Editing, SIGGRAPH 2003 (clone: eq. 9, mixed: eq. 12); Sitzmann et al.,
arXiv 2006.09661, sec. 4.1 (mean).
"""

from abc import ABC, abstractmethod
from numbers import Real

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import require


class Rule(ABC):
    """What part each of two pictures has in the merged gradient.

    Attributes:
        constant: (w_a, w_b) where they are the same at all points, so that v has the potential ``w_a a + w_b b``;
            None where they depend on the pictures.
    """

    constant: tuple[float, float] | None = None

    @abstractmethod
    def __call__(self, a: Jet, b: Jet) -> tuple[Tensor, Tensor]:
        """The shares (w_a, w_b), (N,) each, of the pictures with jets a and b of order 1 at the same N points.

        One share for all channels: channels that chose for themselves would take the red of an edge from one picture
        and its green from the other, and show a colour that neither has.
        """


class _Constant(Rule):
    """A rule with the same shares at all points."""

    constant: tuple[float, float]

    def __call__(self, a: Jet, b: Jet) -> tuple[Tensor, Tensor]:
        """(w_a, w_b) everywhere, (N,) each."""
        of_a, of_b = (torch.full_like(a.value[:, 0], share) for share in self.constant)
        return of_a, of_b


class Mean(_Constant):
    """``v = (1 - weight) grad a + weight grad b``, the weight of b from 0 to 1.

    >>> Mean(weight=0.25)(Jet(torch.zeros(1, 3)), Jet(torch.ones(1, 3)))
    (tensor([0.7500]), tensor([0.2500]))
    """

    def __init__(self, weight: float = 0.5) -> None:
        valid = isinstance(weight, Real) and not isinstance(weight, bool) and 0 <= weight <= 1
        require(valid, f"signal.rule.weight must be a number from 0 (a alone) to 1 (b alone), not {weight!r}")
        self.constant = 1.0 - float(weight), float(weight)


class Sum(_Constant):
    """``v = grad a + grad b``, the gradient of a + b, whose values may leave [-1, 1]."""

    constant = 1.0, 1.0


class Clone(_Constant):
    """``v = grad b``: seamless cloning of b into a, where it covers a or where the mask says."""

    constant = 0.0, 1.0


class Mixed(Rule):
    """``v = grad b where |grad b| > |grad a|, else grad a``, in the norm over axes and channels; it has no potential.

    >>> a, b = (Jet(torch.zeros(1, 1), torch.tensor([[slope]])) for slope in ([3.0, 0.0], [-4.0, 0.0]))
    >>> Mixed()(a, b)
    (tensor([0.]), tensor([1.]))
    """

    def __call__(self, a: Jet, b: Jet) -> tuple[Tensor, Tensor]:
        """(0, 1) where b has the longer gradient, (1, 0) elsewhere; (N,) each."""
        if a.gradient is None or b.gradient is None:
            raise TypeError("this rule compares gradients; give it jets of order 1")
        share = (b.gradient.square().sum((1, 2)) > a.gradient.square().sum((1, 2))).to(a.value.dtype)
        return 1 - share, share
