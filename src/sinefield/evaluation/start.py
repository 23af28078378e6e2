"""A learned start on pictures that it was not trained on, step by step, beside a start from the seed.

PSNR is the mean over pictures of each one's. From the learned start the first steps are those of the inner loop, with
the rates it learned; the later ones are steps of Adam. From the seed all are Adam's. All pixels are seen in every step.
Adam's rate is chosen for each start and number of steps, of several, as the one with the best mean: that favours
neither of them. A start that was learned with Adam in its inner loop is for fits of few steps, at a rate that falls to
0: from the seed each number of steps is a fit of its own then, and so it is from a start that Reptile found.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.optim import Adam

from sinefield.core.jet import BLOCK
from sinefield.errors import integer, positive, require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.collection_pictures import sheet
from sinefield.evaluation.metrics import DATA_RANGE
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.stack import stack_fields
from sinefield.fields.start import LearnedStart
from sinefield.optimizers.learned import first_beta
from sinefield.signals.collection import Collection
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

COUNTS = (1, 3, 10, 30, 100)  # steps after which pictures are compared
Curve = dict[int, Tensor]  # PSNR (P,) by the number of steps


class Start(Evaluation):
    """PSNR of held-out pictures after 1, 3, 10, 30 and 100 steps.

    Args:
        pictures: how many, evenly spread over those held out.
        inner: steps of the inner loop from the learned start; Adam's follow.
        rates: of Adam, the best of which counts.

    Raises:
        UserError: the signal is no collection, or holds no pictures out.
    """

    shown = (
        Score("psnr", "PSNR of pictures held out", "dB"),
        *(Score(f"psnr_{n}", f"  after {n} step{'s' * (n > 1)}", "dB") for n in COUNTS),
        *(Score(f"psnr_{n}_standard", f"  after {n} from the seed", "dB", direction="") for n in COUNTS),
    )

    def __init__(
        self,
        signal: Signal,
        loss: Loss,
        pictures: int = 32,
        inner: int = 10,
        rates: Sequence[float] = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2),
    ) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Collection), "evaluation=start is for many pictures; take signal=collection")
        self.collection = cast("Collection", signal)
        held_out = self.collection.count - self.collection.trained
        require(held_out > 0, "evaluation=start needs pictures that are held out; take a larger signal.held_out")
        count = min(held_out, integer("evaluation.pictures", pictures, least=1))
        places = torch.linspace(0, held_out - 1, count).round().long()
        self.numbers = self.collection.trained + places
        self.inner = integer("evaluation.inner", inner, least=1)
        self.rates = [positive("evaluation.rates", rate) for rate in rates]
        self.rows: list[tuple[str, float, Curve]] = []  # start, rate, curve: of `final`
        self.shots: dict[str, Tensor] = {}  # values (P, S, C) after some steps, by words

    def truth(self) -> Tensor:
        """(P, S, C), the pixels of the pictures held out."""
        return self.collection.pixels_of(self.numbers).flatten(1, 2)

    def points(self) -> Sequence[Tensor]:
        """The pixels of the pictures held out, (N, 4), in blocks of whole pictures."""
        x = self.observation().x
        parts = self.numbers.split(max(1, BLOCK // len(x)))
        return [torch.cat([self.collection.at(x, int(k)) for k in part]) for part in parts]

    def observation(self) -> Observation:
        """All pixels of the pictures held out."""
        return self.collection.look(self.numbers, torch.zeros_like(self.numbers))

    def scores(self, values: Tensor) -> Scores:
        """psnr: after the steps of the field."""
        return {"psnr": psnr(values.view_as(self.truth()), self.truth()).mean().item()}

    def final(self, field: CoordinateMLP) -> Scores:
        """The PSNR after 1 to 100 steps from both starts, each with the best of Adam's rates."""
        require(isinstance(field, LearnedStart), "evaluation=start is for field=start")
        start, training = cast("LearnedStart", field), field.training
        start.eval()
        observation, count, begin = self.observation(), len(self.numbers), Curve()
        self.rows, self.shots = [], {"picture": observation.values}
        stack, seed = (stack_fields([base] * count) for base in (start.base, fresh(start.base)))
        alike = start.adam and start.order == 0
        for rate in self.rates if alike else ():
            self.rows.append(("learned", rate, self._falling(stack, rate, observation)))
        for n in sorted({0, self.inner, *(n for n in COUNTS if n <= self.inner)}):
            with torch.no_grad():
                stack.load_state_dict(start.all_parameters(start.adapt(observation, n), count))
                values = stack.jet(observation.x, 0).value
            begin[n], self.shots[f"{n} steps"] = psnr(values, observation.values), values
        start.train(training)
        for rate in self.rates:
            if not alike:
                self.rows.append(("learned", rate, begin | self._adam(stack, rate, self.inner, observation)))
            fit = self._falling(seed, rate, observation) if start.adam else None
            self.rows.append(("standard", rate, fit or self._adam(seed, rate, 0, observation)))
        return self._best()

    def _best(self) -> Scores:
        """Of both starts after each number of steps, the PSNR with the best rate."""
        scores: Scores = {}
        for name, ending in (("learned", ""), ("standard", "_standard")):
            curves = [curve for begun, _, curve in self.rows if begun == name]
            scores |= {f"psnr_{n}{ending}": max(curve[n].mean().item() for curve in curves) for n in COUNTS}
        return scores

    def _adam(self, start: CoordinateMLP, rate: float, taken: int, observation: Observation) -> Curve:
        """The PSNR of a stack of networks, one for each picture, from `taken` steps on."""
        counts = range(taken, COUNTS[-1] + 1)
        found = zip(counts, _fit(start, rate, observation), strict=False)
        return {count: psnr(values, observation.values) for count, values in found if count in COUNTS}

    def _falling(self, start: CoordinateMLP, rate: float, observation: Observation) -> Curve:
        """The PSNR of a stack of networks after fits of 1 to 100 steps, each with a rate that falls to 0."""
        curve = Curve()
        for count in COUNTS:
            values = next(itertools.islice(_fit(start, rate, observation, count), count, None))
            curve[count] = psnr(values, observation.values)
            self.shots.setdefault(f"{count} steps", values)  # those of the learned start come first
        return curve

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """start.png: pictures after some steps; start.csv: the PSNR of every start and rate."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["start", "rate", *COUNTS])
        for name, rate, curve in self.rows:
            writer.writerow([name, rate, *(f"{curve[n].mean().item():.3f}" for n in COUNTS)])
        write_atomically(folder / "start.csv", text.getvalue().encode())
        shape = (-1, *self.signal.shape, self.signal.channels)
        rows = [(name, values.view(shape)[:8].double().cpu().numpy()) for name, values in self.shots.items()]
        caption = "pictures held out, after so many steps from the learned start; all pixels are seen"
        write_atomically(folder / "start.png", sheet(rows, caption))
        return {"start": folder / "start.png"}


def _fit(start: CoordinateMLP, rate: float, observation: Observation, steps: int | None = None) -> Iterator[Tensor]:
    """Values (P, S, C) of a stack before each step of Adam; with `steps` as `scheduler=falling` has so many."""
    stack = deepcopy(start)
    optimizer = Adam(stack.parameters(), lr=rate, betas=(0.9, 0.99))
    for step in itertools.count():
        with torch.enable_grad():
            values = stack.jet(observation.x, 0).value
            error = (values - observation.values).square().mean((1, 2)).sum()
        yield values.detach()
        if steps is not None:
            optimizer.param_groups[0] |= {"lr": rate * (1 - step / steps), "betas": (first_beta(step, steps), 0.99)}
        optimizer.zero_grad()
        error.backward()
        optimizer.step()


def fresh(base: CoordinateMLP) -> CoordinateMLP:
    """A base of the same kind with weights from seed 0."""
    field = deepcopy(base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for i, layer in enumerate(field.linear_maps()):
            layer.reset_parameters()
            field.activation.initialize(layer, field.is_first(i))
        field.head.reset_parameters()
        field.activation.initialize_head(field.head)
    return field


def decibels(error: Tensor) -> Tensor:
    """The PSNR of mean squared errors."""
    return 10 * torch.log10(DATA_RANGE**2 / error)


def psnr(values: Tensor, truth: Tensor) -> Tensor:
    """(P,), of values (P, S, C)."""
    return decibels((values - truth).square().mean((1, 2)))
