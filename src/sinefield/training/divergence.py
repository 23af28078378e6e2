"""Stops a fit that has become senseless, at the step where it did, and says what to change.

A loss is relative to the signal's power, so a field of zeros has about 1. A fit has exploded when its loss was above

    1000 max(1, L_0)        L_0: the loss of the first step

for ten steps in a row; a jump that a small network makes and takes back is shorter, and far lower.
"""

import math

import torch
from torch import Tensor

from sinefield.errors import require

TIMES, IN_A_ROW = 1000.0, 10
LAG = 50  # steps that an accelerator may be behind: every look at a loss would wait for it


class DivergenceGuard:
    """Looks at the loss of every step, and at the weights before they are kept."""

    def __init__(self) -> None:
        self.precision = "32-true"  # of the trainer
        self.first: list[float] = []  # the loss of the first step, of every field
        self.kept: int | None = None  # the step of the last checkpoint
        self._high: list[int] = []  # steps in a row
        self._unseen: list[tuple[int, Tensor]] = []

    def update(self, step: int, losses: Tensor) -> None:
        """Take the loss of a step, () or (K,) of K fields; on the CPU look at it, elsewhere at most `LAG` steps later.

        Raises:
            UserError: it is not finite, or has exploded.
        """
        self._unseen.append((step, losses))
        if losses.device.type == "cpu" or len(self._unseen) >= LAG:
            self.check()

    def check(self) -> None:
        """Look at the losses taken so far; raises as `update`."""
        unseen, self._unseen = self._unseen, []
        rows = torch.stack([losses.reshape(-1) for _, losses in unseen]).tolist() if unseen else []
        for (step, _), row in zip(unseen, rows, strict=True):
            self.first, self._high = self.first or row, self._high or [0] * len(row)
            for k, (value, first) in enumerate(zip(row, self.first, strict=True)):
                whose = "" if len(row) == 1 else f" of field {k}"
                require(math.isfinite(value), f"the loss{whose} became {value} at step {step}; {self.advice}")
                self._high[k] = self._high[k] + 1 if value > TIMES * max(1.0, first) else 0
                exploded = self._high[k] >= IN_A_ROW
                require(not exploded, f"the loss{whose} exploded to {value:.3g} at step {step}; {self.advice}")

    def allow_checkpoint(self, step: int, field: torch.nn.Module) -> None:
        """Allow a checkpoint; raises `UserError` where a weight is not finite, or as `update`."""
        self.check()
        finite = torch.stack([parameter.isfinite().all() for parameter in field.parameters()]).all()
        require(bool(finite), f"the weights are no longer finite at step {step}; {self.advice}")
        self.kept = step

    @property
    def advice(self) -> str:
        """What is likely to mend it."""
        low = ", or trainer.precision=32-true" if "16" in self.precision else ""
        kept = "" if self.kept is None else f"; checkpoints/last.ckpt is of step {self.kept}, before that"
        return f"try a lower optimizer.lr, activation.omega0 or activation.scale{low}{kept}"
