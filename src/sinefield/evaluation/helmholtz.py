"""How far a field is from the finite-difference solution of its Helmholtz equation, and what is to be seen of it.

    relative L2 = (sum |f - u|^2 / sum |u|^2)^(1/2)      over the nodes of the physical part |x|, |y| <= 1/2

u is complex, and the oracle's: the field has never seen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.errors import require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.helmholtz_picture import maps
from sinefield.losses.helmholtz import Helmholtz as Equation
from sinefield.signals.helmholtz import Helmholtz as Waves
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

_INSIDE = 0.5 + 1e-5
_RESIDUAL = 120  # points along each side at which the residual is drawn
_AT_ONCE = 512  # points, of some thousand features each


class Helmholtz(Evaluation):
    """Compares a field, with the known one added, with the solution at its nodes in the physical part.

    Raises:
        UserError: the signal is no `Helmholtz`.
    """

    shown = (
        Score("relative_l2", "relative L2", digits=-1, direction="min"),
        Score("relative_max", "largest error over largest value", digits=-1, direction="min"),
    )

    def __init__(self, signal: Signal, loss: Loss) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Waves), "evaluation=helmholtz is for the Helmholtz equation; take signal=helmholtz")
        assert isinstance(signal, Waves)
        self.waves = signal
        self._at: tuple[Tensor, Tensor, Tensor] | None = None

    def points(self) -> Sequence[Tensor]:
        """The nodes of the physical part, in blocks (N, 2)."""
        return self._nodes().flatten(0, 1).split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """relative_l2 and relative_max of the field's values (N, 2) at all the points."""
        truth, found = self._compared(values)
        error = found - truth
        largest = truth.square().sum(1).max()
        return {
            "relative_l2": (error.square().sum() / truth.square().sum()).sqrt().item(),
            "relative_max": (error.square().sum(1).max() / largest).sqrt().item(),
        }

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """wavefield.png: real part, amplitude and error in the physical part, the residual in the whole box."""
        field.to(self.signal.extent.device)
        dtype = field.head.weight.dtype
        with torch.no_grad():
            values = torch.cat([field(x.to(dtype)) for block in self.points() for x in block.split(_AT_ONCE)])
        side = len(self._nodes())
        truth, found = (
            torch.view_as_complex(part).reshape(side, side).cpu().numpy() for part in self._compared(values)
        )
        known = [score for score in self.shown if scores.get(score.key) is not None]
        caption = ", ".join(f"{score.name} {score.text(scores[score.key])}" for score in known)
        file = folder / "wavefield.png"
        write_atomically(file, maps(truth, found, self._residual(field, dtype), caption))
        return {"wavefield": file}

    def _nodes(self) -> Tensor:
        """(n, n, 2)."""
        grid = self.signal.evaluation_grid()
        inside = grid[0, :, 0].abs() <= _INSIDE
        return grid[inside][:, inside]

    def _compared(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2) of the truth, and of the field with what is known added, in double precision."""
        if self._at is None or self._at[0].device != values.device:
            x = self._nodes().flatten(0, 1)
            truth = torch.cat([self.signal.jet(some, 0).value for some in x.split(BLOCK)]).double()
            self._at = x, truth, self.waves.shown(x, torch.zeros_like(truth))
        _, truth, added = self._at
        return truth, values.double() + added

    def _residual(self, field: CoordinateMLP, dtype: torch.dtype) -> np.ndarray:
        """(n, n), the modulus of the equation's residual over the whole box."""
        term, extent = Equation(), self.signal.extent
        line = torch.linspace(-1, 1, _RESIDUAL, dtype=dtype, device=extent.device) * (1 - 1 / _RESIDUAL)
        grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).flatten(0, 1)
        found = []
        for x in grid.split(_AT_ONCE):
            known = term.known(self.signal, x)
            with torch.no_grad():
                found.append(term.residual(field.jet(x, term.order, term.operators), known, x).norm(dim=1))
        return torch.cat(found).reshape(_RESIDUAL, _RESIDUAL).double().cpu().numpy()
