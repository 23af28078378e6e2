"""An exponential schedule given by where it ends: ``rate(t) = rate(0) * final^(t / steps)``.

Source: the schedule of WIRE's code (arXiv 2301.05187), with final = 0.1, and of FINER's and STAF's after it.
"""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from sinefield.errors import integer, positive


class Decay(ExponentialLR):
    """Every group's rate falls by the factor `final` over `steps` steps.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = Decay(optimizer, steps=2, final=0.01)
    >>> _ = optimizer.step(), schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer: Optimizer, steps: int, final: float = 0.1) -> None:
        steps = integer("scheduler.steps", steps, least=1)
        super().__init__(optimizer, positive("scheduler.final", final) ** (1 / steps))
