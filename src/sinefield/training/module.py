"""The one LightningModule: a field, a loss on jets, an optimizer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sinefield.errors import UserError, integer, require
from sinefield.evaluation.base import Evaluation, Score, mean
from sinefield.optimizers.base import FieldOptimizer
from sinefield.training import solving
from sinefield.training.data import Batch, SignalData
from sinefield.training.divergence import DivergenceGuard
from sinefield.training.microbatches import Microbatches

if TYPE_CHECKING:  # handed in, not imported
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss

log = logging.getLogger(__name__)


class FieldModule(pl.LightningModule):
    """Trains a field until its jet equals the signal's, as far as the loss looks.

    Args:
        mean_squares: what each term is relative to, by its name; (K,) each for a stack of K fields.
        evaluations: compares the field with its signal; one for each field of a stack, all at the same points.
        scheduler: gives the schedule, stepped once per step; None for a constant rate.
        chunk: points per forward and backward pass, which changes the speed alone; None for what the device does best.
        clip: limits gradients in place, given those of all parameters and the field's `stack`; None: none are limited.
    """

    def __init__(
        self,
        field: CoordinateMLP,
        loss: Loss,
        mean_squares: Mapping[str, Tensor],
        evaluations: Sequence[Evaluation],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        chunk: int | None = None,
        clip: Callable[..., None] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # the closure below serves L-BFGS and cuts the batch into microbatches
        self.field = field
        self.loss = loss
        self.mean_squares = dict(mean_squares)
        self.evaluations = list(evaluations)
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.clip = clip
        self.microbatches = Microbatches(field, None if chunk is None else integer("chunk", chunk, least=1))
        self.terms: dict[str, Tensor] = {}  # of the latest step
        self.each: list[dict[str, float | None]] = []  # the scores of the latest evaluation, for every field
        self.predicted: list[Tensor] = []
        self.guard = DivergenceGuard()
        self.extended_at: list[int] = []  # steps at which the run was made longer, and its schedule another

    def configure_optimizers(self) -> Any:
        """The optimizer, with its schedule where there is one."""
        optimizer = self.make_optimizer(self.field.parameters())
        return optimizer if self.make_scheduler is None else ([optimizer], [self.make_scheduler(optimizer)])

    def on_fit_start(self) -> None:
        """Take the mean squares to the device, and see how many points fit it."""
        self.mean_squares = {name: part.to(self.device) for name, part in self.mean_squares.items()}
        self.guard.precision = precision = str(self.trainer.precision)
        if "16" in precision and self.trainer.is_global_zero:
            said = "caps the fit near 38 to 40 dB: omega0 multiplies the rounding of what the sines are taken of"
            log.warning("trainer.precision=%s %s; end with 32-true where that is not enough", precision, said)
        if isinstance(solver := self.trainer.optimizers[0], FieldOptimizer):
            solver.check(self.field, self.loss, self.trainer.world_size)
        self.data.fit_batch_size(lambda batch: self._backward(self.trainer.precision_plugin.convert_input(batch)))

    def training_step(self, batch: Batch, index: int) -> None:
        """One optimizer step; L-BFGS asks for the closure several times, the others once."""
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        assert not isinstance(optimizer, list)
        if isinstance(solver := self.trainer.optimizers[0], FieldOptimizer):
            weights = self.loss.weights(self.mean_squares, self.progress)
            solving.solve(solver, self.microbatches, self.loss, batch, weights)
        losses: list[Tensor] = []  # of every field; of a line search all but the first may well be bad

        def closure() -> Tensor:
            alone = self.trainer.world_size == 1
            with nullcontext() if alone else self.trainer.strategy.block_backward_sync():  # type: ignore[attr-defined]
                self.terms = self._backward(batch) if alone else self._summed(self._backward(batch))
            losses.append(torch.stack(list(self.terms.values())).sum(dim=0))
            return losses[-1].sum()

        step = self.trainer.global_step
        optimizer.step(closure)
        self.guard.update(step, losses[0])
        if isinstance(scheduler, LRScheduler):
            try:
                scheduler.step()
            except ValueError as error:  # such as one made of others, the last of which is too short
                raise UserError(f"scheduler ends at step {step} of {self.trainer.max_steps}: {error}") from error

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradients: of all processes together, and as large as they are."""
        if self.clip is None or not solving.wants_gradient(optimizer):
            return
        # Precision 16-mixed scales the loss; Lightning has undone that by now, but for fused optimizers, which do it.
        if self._scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            self._scaler.unscale_(optimizer)
        self.clip([p.grad for p in self.field.parameters() if p.grad is not None], stack=self.field.stack)

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        """The terms, () each; the parameters get the gradient over this process's points, in parts that fit."""
        scale = [] if self._scaler is None else [self._scaler.scale]
        weights = self.loss.weights(self.mean_squares, self.progress)
        if not solving.wants_gradient(self.trainer.optimizers[0]):
            return solving.terms(self.microbatches, self.loss, batch, weights)
        while True:
            self.field.zero_grad()
            try:
                return self.microbatches.gradient(self.loss, batch, weights, *scale)
            except torch.OutOfMemoryError:
                if not self.microbatches.halve(self.device):
                    raise
            torch.cuda.empty_cache()

    def _summed(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms, and in place the gradients, summed over all processes: as of one process with all points."""
        parts = [p.grad for p in self.field.parameters() if p.grad is not None] + list(terms.values())
        flat = torch.cat([part.flatten() for part in parts])
        torch.distributed.all_reduce(flat)
        for part, total in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(total.view_as(part))
        return terms

    def validation_step(self, x: Tensor, index: int) -> None:
        """The field's values at one block of points."""
        self.predicted.append(self.microbatches.values(x))

    def on_validation_epoch_end(self) -> None:
        """Score the field and log it, with the latest training terms, under the names of metrics.json."""
        values, self.predicted = torch.cat(self.predicted, dim=-2), []
        values = values if self.field.stack else values.unsqueeze(0)  # (K, N, C)
        self.guard.check()
        step = self.trainer.global_step
        require(bool(values.isfinite().all()), f"the field is not finite at step {step}; {self.guard.advice}")
        self.each = [evaluation.scores(own) for evaluation, own in zip(self.evaluations, values, strict=True)]
        self.log_dict({name: value for name, value in mean(self.figures).items() if value is not None})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the latest step and evaluation found goes along."""
        checkpoint["found"] = {
            "terms": self.terms,
            "scores": self.each,
            "first": self.guard.first,
            "batch_size": self.data.batch_size,
            "max_steps": self.data.max_steps,
            "extended_at": self.extended_at,
            "learned": solving.learned(self.trainer.optimizers[0]),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As if they had just been found."""
        found = checkpoint["found"]
        self.terms = {name: term.reshape(self.field.stack) for name, term in found["terms"].items()}
        self.each = [
            {name: None if value is None else float(value) for name, value in scores.items()}
            for scores in found["scores"]
        ]
        self.guard.first = [float(loss) for loss in found["first"]]
        self.guard.kept = checkpoint["global_step"]
        self.extended_at = [integer("its extended_at", step, least=1) for step in found.get("extended_at", [])]
        self.data.batch_size, self.data.auto = integer("its batch_size", found["batch_size"], least=1), False

    @property
    def data(self) -> SignalData:
        """What the trainer fits it to."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SignalData)
        return data

    @property
    def _scaler(self) -> Any:
        """Of the loss, with precision 16-mixed."""
        return getattr(self.trainer.precision_plugin, "scaler", None)

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1."""
        return self.trainer.global_step / self.data.max_steps

    @property
    def monitor(self) -> Score:
        """The score that the run is judged by."""
        return self.evaluations[0].monitor

    @property
    def scores(self) -> dict[str, float | None]:
        """Of the latest evaluation, the mean over the fields; {} before the first."""
        return mean(self.each) if self.each else {}

    @property
    def figures(self) -> list[dict[str, float | None]]:
        """The loss and its terms at the latest step, and the scores of the latest evaluation, for every field."""
        terms = {f"loss/{name}": value.reshape(-1).tolist() for name, value in self.terms.items()}
        losses = [dict(zip(terms, values, strict=True)) for values in zip(*terms.values(), strict=True)]
        return [{"loss": sum(its.values()), **its, **scores} for its, scores in zip(losses, self.each, strict=True)]

    @property
    def total(self) -> float:
        """The loss of the latest step, the mean over the fields; NaN before the first."""
        return sum(value.mean().item() for value in self.terms.values()) if self.terms else float("nan")
