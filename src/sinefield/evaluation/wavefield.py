"""How far a field is from the classical solution of its equation, and what is to be seen of it.

    relative L2 = (sum (f - s)^2 / sum s^2)^(1/2)

over the samples of the physical box, all frames of it where there is time. s is the oracle's (solvers/), which the
field has never seen.
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
from sinefield.evaluation.wavefield_pictures import film, scale, strips
from sinefield.losses.base import Term
from sinefield.signals.solution import Solution
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

_SHOWN = 6  # frames in a picture


class Wavefield(Evaluation):
    """Compares a field with a `Solution` at its samples.

    Args:
        signal, loss: as of `Evaluation`.
        residual: the equation, whose residual is drawn; None for none.

    Raises:
        UserError: the signal is no `Solution`.
    """

    shown = (
        Score("relative_l2", "relative L2", digits=-1, direction="min"),
        Score("relative_max", "largest error over the largest value", digits=-1, direction="min"),
    )

    def __init__(self, signal: Signal, loss: Loss, residual: Term | None = None) -> None:
        super().__init__(signal, loss)
        cure = "take signal=wave, poisson, heat or eikonal"
        require(isinstance(signal, Solution), f"evaluation=wavefield is for equations that were solved; {cure}")
        require(residual is None or isinstance(residual, Term), f"evaluation.residual must be a term, not {residual!r}")
        assert isinstance(signal, Solution)
        self.solution, self.residual = signal, residual

    def points(self) -> Sequence[Tensor]:
        """The samples, (N, D), in blocks; where there is time, all frames of a place before the next place."""
        return self._grid().split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """relative_l2 and relative_max of the field's values (N, C) at all the samples."""
        truth, error = (part.double() for part in self._compared(values))
        largest, power = truth.abs().max(), truth.square().sum()
        return {
            "relative_l2": (error.square().sum() / power).sqrt().item() if power > 0 else None,
            "relative_max": (error.abs().max() / largest).item() if power > 0 else None,
        }

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """frames.png: field, truth and error; residual.png where the equation is known; film.mp4 of 2-D waves."""
        field.to(self.signal.extent.device)
        dtype = field.head.weight.dtype
        with torch.no_grad():
            values = torch.cat([field(x.to(dtype)) for block in self.points() for x in block.split(1024)])
        truth, error = (self._frames(part) for part in self._compared(values))
        known = [score for score in self.shown if scores.get(score.key) is not None]
        caption = ", ".join(f"{score.name} {score.text(scores[score.key])}" for score in known)
        which = np.unique(np.linspace(0, len(truth) - 1, _SHOWN).round().astype(int))
        rows = {"field": truth + error, "truth": truth, "error": error}
        files = {"frames": folder / "frames.png"}
        titles = self._titles(which)
        write_atomically(files["frames"], strips({name: part[which] for name, part in rows.items()}, titles, caption))
        if self.residual is not None:
            files["residual"] = folder / "residual.png"
            found = self._residual(field, which)
            said = f"{type(self.residual).__name__.lower()}: residual, rms {np.sqrt(np.mean(found**2)):.2e}"
            write_atomically(files["residual"], strips({"residual": found}, titles, said))
        if len(truth) > 1:
            files["film"] = folder / "film.mp4"
            film(files["film"], list(rows.values()), [scale(truth), scale(truth), scale(error)])
        return files

    def _grid(self, which: Sequence[int] | slice = slice(None)) -> Tensor:
        """(N, D) of some frames, or where there are none of all samples: places first, at all times each."""
        grid = self.signal.grid()
        return grid.unflatten(0, (self._count, -1))[which].transpose(0, 1).flatten(0, 1)

    @property
    def _count(self) -> int:
        """Frames; 1 where two axes are all."""
        return self.signal.shape[0] if self.signal.dims > 2 else 1

    def _compared(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C) the truth and what the field's values are off, both as the signal has them shown."""
        x = self._grid()
        truth = torch.cat([self.signal.jet(some, 0).value for some in x.split(BLOCK)]).to(values)
        shown = [self.solution.shown(x.to(values), part) for part in (truth, values)]
        return shown[0], shown[1] - shown[0]

    def _frames(self, values: Tensor) -> np.ndarray:
        """(T, H, W) of (N, 1); one frame where two axes are all, of which time runs down."""
        return values.double().cpu().numpy().reshape(*self.signal.shape[-2:], -1).transpose(2, 0, 1)

    def _titles(self, which: np.ndarray) -> list[str]:
        if self.signal.dims < 3:
            return ["x to the right, t down" if self.solution.time else ""]
        length = self.signal.axes[-1].length or 0.0
        return [f"t = {length * k / (self.signal.shape[0] - 1):.2f}" for k in which]

    def _residual(self, field: CoordinateMLP, which: np.ndarray) -> np.ndarray:
        """(T, H, W) of the frames that are drawn."""
        term = self.residual
        assert term is not None
        found = []
        for x in self._grid(which.tolist()).to(field.head.weight.dtype).split(256):  # of some thousand features each
            known = term.known(self.signal, x)
            with torch.no_grad():
                found.append(term.residual(field.jet(x, term.order, term.operators), known, x)[:, :1])
        return self._frames(torch.cat(found))
