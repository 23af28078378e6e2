"""How good a field of a film or a volume is: PSNR on its samples, and between them where they are known.

    PSNR = 10 log10(4 / mean |f - s|^2) dB, over points and channels; values lie in [-1, 1], predictions are not clipped

During a run all frames are scored at every n-th point along the other axes, n odd, some 100,000 points in all; at the
end all points are, up to `MOST` of them. What the loss leaves free is taken off, as of pictures.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from sinefield.core.jet import BLOCK
from sinefield.errors import require
from sinefield.evaluation.base import Evaluation, Scores
from sinefield.fields.mlp import CoordinateMLP
from sinefield.losses.base import Loss
from sinefield.signals.base import Signal
from sinefield.signals.dense import Dense

MOST = 2**24  # points that are scored and drawn at the end: a minute or two on a CPU
_DURING = 2**17  # the same at each evaluation during the run
_BATCH = 8192
Sums = dict[str, tuple[float, int]]


class DenseEvaluation(Evaluation):
    """Compares a field with a `Dense` signal.

    Attributes:
        whole: along how many of the first axes every point is scored: 1 for the frames of a film.

    Raises:
        UserError: the signal is another.
    """

    whole: int = 0

    def __init__(self, signal: Signal, loss: Loss) -> None:
        super().__init__(signal, loss)
        kind = type(self).__name__.lower()
        require(isinstance(signal, Dense), f"evaluation={kind} is for films and volumes; take evaluation=picture")
        assert isinstance(signal, Dense)
        self.dense = signal
        self.field_values: np.ndarray | None = None  # (n_1, n_2, n_3, C) at `numbers(MOST)`, once they are scored

    @abstractmethod
    def sets(self, odd: Sequence[Tensor]) -> dict[str, Tensor]:
        """By the names of scores, the points that each is over; `odd` says per axis which points are held out."""

    def numbers(self, most: int) -> list[Tensor]:
        """Along each axis, the numbers of the points that are scored where they are `most` at most, rows first."""
        step, every = self.dense.step, 1

        def counts() -> list[int]:
            return [(n - 1) * step // (1 if d < self.whole else every) + 1 for d, n in enumerate(self.signal.shape)]

        while math.prod(counts()) > most and min(counts()[self.whole :]) > 2 * step:
            every += 2
        return [
            torch.arange(n, device=self.signal.extent.device) * (1 if d < self.whole else every)
            for d, n in enumerate(counts())
        ]

    def points(self) -> Sequence[Tensor]:
        """(N, 3) in blocks: every frame, and some of the points of each."""
        return self.signal.lattice(self.numbers(_DURING), self.dense.step).flatten(0, -2).split(BLOCK)

    def scores(self, values: Tensor) -> Scores:
        """psnr, psnr_raw and those between the samples, at `points`."""
        numbers = self.numbers(_DURING)
        truth = self.dense.known(numbers)
        error = values.to(truth.dtype).reshape(truth.shape) - truth
        free = self._free(error)
        return self._psnr(self._sums(numbers, error, free))

    def final(self, field: CoordinateMLP) -> Scores:
        """The same at all points, slice by slice; `field_values` has the field's by then."""
        field.to(self.signal.extent.device)
        numbers, coarse = self.numbers(MOST), self.numbers(_DURING)
        free = self._free(self.evaluated(field, coarse) - self.dense.known(coarse))
        totals: dict[str, tuple[float, int]] = {}
        kept = []
        for one in tqdm(numbers[0], desc="scoring", leave=False, disable=None, delay=2):
            part = [one[None], *numbers[1:]]
            value = self.evaluated(field, part)
            kept.append(value[0].cpu().numpy())
            for key, (total, count) in self._sums(part, value - self.dense.known(part), free).items():
                before = totals.get(key, (0.0, 0))
                totals[key] = (before[0] + total, before[1] + count)
        self.field_values = np.stack(kept)
        return self._psnr(totals)

    def evaluated(self, field: CoordinateMLP, numbers: Sequence[Tensor]) -> Tensor:
        """(n_1, .., n_D, C) values of the field at the points with these numbers."""
        x = self.signal.lattice(numbers, self.dense.step)
        with torch.no_grad():
            values = [field(some) for some in x.flatten(0, -2).to(field.head.weight.dtype).split(_BATCH)]
        return torch.cat(values).unflatten(0, x.shape[:-1]).to(self.signal.extent)

    def _free(self, error: Tensor) -> Tensor | None:
        """What the loss leaves free of an error at the points scored during a run, at the samples among them."""
        found = self.loss.unseen(error[(slice(None, None, self.dense.step),) * self.signal.dims])
        return found if bool(found.any()) else None

    def _sums(self, numbers: Sequence[Tensor], error: Tensor, free: Tensor | None) -> Sums:
        """The sum of squared errors, and how many, of each of the sets."""
        raw = error
        if free is not None:  # linear in between
            last = torch.stack([n[:: self.dense.step][-1] for n in reversed(self.numbers(_DURING))]).to(error)
            places = torch.stack(torch.meshgrid(*numbers, indexing="ij"), -1).flip(-1).to(error)
            planes = functional.grid_sample(
                free.movedim(-1, 0)[None], 2 * (places / last)[None] - 1, align_corners=True, padding_mode="border"
            )
            error = error - planes[0].movedim(0, -1)
        odd = torch.meshgrid(*[n % self.dense.step == 1 for n in numbers], indexing="ij")
        sets = self.sets(odd)
        sums = {
            name: (error[chosen].double().square().sum().item(), chosen.sum().item()) for name, chosen in sets.items()
        }
        seen = sets["psnr"]
        sums["psnr_raw"] = (raw[seen].double().square().sum().item(), seen.sum().item())
        return {key: (total, int(count) * self.signal.channels) for key, (total, count) in sums.items()}

    @staticmethod
    def _psnr(sums: Sums) -> Scores:
        def decibels(total: float, count: int) -> float | None:
            return None if count == 0 else math.inf if total == 0 else 10 * math.log10(4 * count / total)

        return {key: decibels(*found) for key, found in sums.items()}
