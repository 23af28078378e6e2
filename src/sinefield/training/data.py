"""The one DataModule: batches of coordinates with the signal's jets there, made on the device, for any signal and loss.

Every batch is a function of (seed, step) alone, so a resumed run sees the points an undisturbed one would have seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from sinefield.core.jet import BLOCK, Jet, joined
from sinefield.errors import integer, require

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.evaluation.base import Evaluation
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

_ON_CPU = 8192  # points per step of batch_size="auto": more make a step slower, and few make a pass over a picture
_TABLED = 2**22  # samples times channels, at most, whose targets are computed once and kept: 4 numbers each, 67 MB
_SHUFFLED = 2**24  # samples, at most, that are taken in a shuffled order, whose numbers take 8 bytes each


class Samples(NamedTuple):
    """Points x, (N, D), and what the terms know there, such as the signal's jet."""

    x: Tensor
    known: Jet
    share: float = 1.0  # of the step's points for these terms that this process has


Batch = list[Samples]  # one entry per group of terms of the loss, or several times as many


class SignalData(pl.LightningDataModule):
    """Serves one signal to one loss, whose terms may have points of their own.

    Args:
        batch_size: points per step; None for all samples of the grid, where they are not too many; "auto" for as many
            of them as fit the memory of an accelerator, or 8192 on the CPU.
        continuous: draw the points from the whole box instead of from the samples.
        eval_every: steps per epoch: the distance between two evaluations.
        max_steps: steps in all; the last epoch ends there.
        accumulate: batches per step, whose gradients are averaged.
        evaluation: has the points of an evaluation; None where the data are drawn from alone.
    """

    def __init__(
        self,
        signal: Signal,
        loss: Loss,
        batch_size: int | Literal["auto"] | None = 8192,
        continuous: bool = False,
        eval_every: int = 100,
        max_steps: int = 1000,
        seed: int = 0,
        accumulate: int = 1,
        evaluation: Evaluation | None = None,
    ) -> None:
        super().__init__()
        self.signal = signal
        self.evaluation = evaluation
        self.loss = loss
        self.auto = batch_size == "auto"
        require(
            batch_size is not None or len(signal) <= _SHUFFLED,
            f"data.batch_size=null would take {len(signal):,} samples in every step; give a number of points",
        )
        points = min(len(signal), _SHUFFLED) if batch_size is None or self.auto else batch_size
        self.batch_size = integer("data.batch_size", points, least=1)
        self.continuous = continuous
        self.eval_every = integer("data.eval_every", eval_every, least=1)
        self.max_steps = integer("trainer.max_steps", max_steps, least=1)
        self.seed = integer("data.seed", seed, least=-(2**63), most=2**64)
        self.accumulate = integer("trainer.accumulate_grad_batches", accumulate, least=1)
        self._known: dict[int, Samples] = {}  # for each group of terms, all samples and what is known there
        self._pass: tuple[int, Tensor] = (-1, torch.empty(0))  # number and order of the latest pass over the samples

    def setup(self, stage: str) -> None:
        """Move the signal to the field's device: nothing is copied in the training loop."""
        if self.trainer is not None:
            self.signal.to(self.trainer.strategy.root_device)
        self._known.clear()

    def fit_batch_size(self, step: Callable[[Batch], object]) -> None:
        """With batch_size "auto", halve the batch until `step`, which is given the first one, fits the memory."""
        if self.auto and self.signal.extent.device.type == "cpu":
            self.batch_size = min(self.batch_size, _ON_CPU)
        while self.auto:
            try:
                step(self.batch(0))
                break
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
            self.batch_size //= 2
        if self.auto and self.trainer is not None and self.trainer.world_size > 1:  # all draw the same points
            least = torch.tensor(self.batch_size, device=self.signal.extent.device)
            self.batch_size = int(self.trainer.strategy.reduce(least, reduce_op="min"))

    def due(self, step: int) -> bool:
        """Whether an evaluation follows after so many steps."""
        return step % self.eval_every == 0 or step >= self.max_steps

    def train_dataloader(self) -> DataLoader[Batch]:
        """One epoch: the batches up to the next multiple of `eval_every` steps, or to the end."""
        return DataLoader(_Steps(self), batch_size=None)

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Blocks of the points of an evaluation."""
        assert self.evaluation is not None
        return DataLoader(self.evaluation.points(), batch_size=None)  # type: ignore[arg-type]  # any sequence will do

    def batch(self, step: int) -> Batch:
        """The points of one step, for each group of terms; all groups again for each further batch of the step."""
        n = self.accumulate
        drawn = [samples for k in range(n) for samples in self._draw(n * step + k)]
        return [samples._replace(share=samples.share / n) for samples in drawn]

    def _draw(self, step: int) -> Batch:
        """The points of one batch."""
        samples = []
        for number, group in enumerate(self.loss.groups):
            generator = _generator(self.signal.extent.device, self.seed, step, number)
            x = group.first.points(self.signal, generator, step / self.accumulate / self.max_steps)
            if x is None and self.continuous:
                x = self.signal.uniform(self.batch_size, generator)
            elif x is None:
                x = self.signal.draw(self.batch_size, generator)
            if x is None:
                which, share = self._own(self._numbers(step, generator), group.size)
                samples.append(self._at(number, which)._replace(share=share))
            else:
                x, share = self._own(x, group.size)
                samples.append(Samples(x, group.known(self.signal, x), share))
        return samples

    def _at(self, number: int, which: Tensor) -> Samples:
        """The samples with these numbers, (N,), and what one group of terms knows there."""
        group = self.loss.groups[number]
        if len(self.signal) * self.signal.channels > _TABLED:
            x = self.signal.grid(which)
            return Samples(x, group.known(self.signal, x))
        if number not in self._known:
            x = self.signal.grid()
            self._known[number] = Samples(x, joined([group.known(self.signal, some) for some in x.split(BLOCK)]))
        x, known, _ = self._known[number]
        return Samples(x[which], known.map(lambda t: t[which]))

    def _own(self, points: Tensor, group: int | None) -> tuple[Tensor, float]:
        """The points of this process among all, by coordinates (N, D) or numbers (N,), in whole groups, and its share.

        What cannot be dealt out, all processes take in full and count as a part.
        """
        trainer = self.trainer
        if trainer is None or trainer.world_size == 1:
            return points, 1.0
        processes = trainer.world_size
        if group is None or len(points) // group < processes:
            return points, 1 / processes
        own = points.unflatten(0, (-1, group))[trainer.global_rank :: processes].flatten(0, 1)
        return own, len(own) / len(points)

    def _numbers(self, step: int, generator: torch.Generator) -> Tensor:
        """(N,) the samples of one step: all, or the next of a shuffled order."""
        device, count, batch = self.signal.extent.device, len(self.signal), self.batch_size
        if batch >= count:
            return torch.arange(count, device=device)
        if count > _SHUFFLED:  # any, whatever other steps took: a run would hardly come to the end of a pass
            return torch.randint(count, (batch,), generator=generator, device=device)
        per_pass = count // batch  # the few samples left over take their turn in another pass
        number, start = step // per_pass, step % per_pass * batch
        if self._pass[0] != number:
            shuffled = torch.randperm(count, generator=_generator(device, self.seed, number), device=device)
            self._pass = (number, shuffled)
        return self._pass[1][start : start + batch]


class _Steps(IterableDataset[Batch]):
    """The batches of the epoch that starts at the trainer's step."""

    def __init__(self, data: SignalData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Batch]:
        start = self.data.trainer.global_step if self.data.trainer is not None else 0
        next_evaluation = (start // self.data.eval_every + 1) * self.data.eval_every
        for step in range(start, min(next_evaluation, self.data.max_steps)):
            yield self.data.batch(step)


def _generator(device: torch.device, *numbers: int) -> torch.Generator:
    """A generator whose stream is a function of the numbers."""
    seed = int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest())
    return torch.Generator(device).manual_seed(seed % 2**63)
