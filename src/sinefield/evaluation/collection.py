"""A prior over pictures: how well it knows those that were held out, from all of their pixels and from few.

PSNR = mean over pictures of 10 log10(4 / mean |f - s|^2) dB
MSE  = mean over pictures, pixels and channels of |f - s|^2, of all pixels, in units of [-1, 1]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.interpolate import griddata
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.errors import integer, require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.collection_pictures import sheet
from sinefield.fields import completion
from sinefield.fields.coded import Coded
from sinefield.fields.conditional import Observation
from sinefield.signals.collection import Collection as Pictures
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

FEW = (10, 100, 1000)  # pixels: those of the paper's table
_DRAWN = 8  # pictures on the sheet
_WAYS = ("", "_refined", "_tuned", "_linear")
_SAID = ("encoder", "code refined", "field tuned", "linear interpolation")


class Collection(Evaluation):
    """Looks at held-out pictures, evenly spread over all of them, and at as many of those trained on.

    Args:
        pictures: held-out pictures that are looked at, at most.
        tuned: of these, for how many a field of their own is tuned, at most.
        steps: of tuning.

    Raises:
        UserError: the signal is no collection.
    """

    shown = (
        Score("psnr", "PSNR of held-out pictures", "dB"),
        Score("psnr_refined", "  with the code refined", "dB"),
        Score("psnr_trained", "PSNR of training pictures", "dB", direction=""),
        *(
            Score(
                f"mse_{count}{way}",
                f"MSE from {count} pixels, {said}",
                digits=4,
                direction="min" if way != "_linear" else "",
            )
            for count in FEW
            for way, said in zip(_WAYS, _SAID, strict=True)
        ),
    )

    def __init__(self, signal: Signal, loss: Loss, pictures: int = 64, tuned: int = 8, steps: int = 300) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Pictures), "evaluation=collection is for many pictures; take signal=collection")
        self.pictures = cast("Pictures", signal)
        held, own = self.pictures.count - self.pictures.trained, self.pictures.trained
        most = integer("evaluation.pictures", pictures, least=1)
        self.tuned = integer("evaluation.tuned", tuned, least=0)
        self.steps = integer("evaluation.steps", steps, least=1)
        self.held = own + torch.linspace(0, held - 1, min(most, held)).round().long()
        self.own = torch.linspace(0, own - 1, min(most, own)).round().long()

    def points(self) -> Sequence[Tensor]:
        """All pixels of the pictures, held out and then trained on, each seen whole; (N, 4) in blocks."""
        grid = self.pictures.pixel_grid()
        x = torch.cat([self.pictures.at(grid, int(k)) for k in (*self.held, *self.own)])
        return x.split(max(1, BLOCK // len(grid)) * len(grid))

    def scores(self, values: Tensor) -> Scores:
        """psnr and psnr_trained of the field's values (N, C) at all the points, less what the loss leaves free."""
        both = torch.cat([self.held, self.own])
        truth = self.pictures.pixels_of(both)
        error = values.to(truth).reshape(truth.shape) - truth
        error = torch.stack([one - self.loss.unseen(one) for one in error])
        psnr = decibels(error.square().flatten(1).mean(1))
        return {"psnr": psnr[: len(self.held)].mean().item(), "psnr_trained": psnr[len(self.held) :].mean().item()}

    def observed(self, count: int, numbers: Tensor) -> Observation:
        """`count` random pixels of each of the pictures (P,), the same at every call."""
        samples = math.prod(self.pictures.shape)
        seen = torch.zeros(len(numbers), samples, dtype=torch.bool)
        for row, number in zip(seen, numbers.tolist(), strict=True):
            generator = torch.Generator().manual_seed(count * self.pictures.count + number)
            row[torch.randperm(samples, generator=generator)[:count]] = True
        return self.pictures.observation(numbers, seen.to(self.pictures.extent.device))

    def references(self) -> Scores:
        """The MSE of linear interpolation from few pixels, over the same pictures and pixels."""
        return {f"mse_{count}_linear": self._of(linear, count, self.held) for count in FEW}

    def _of(self, method, count: int, numbers: Tensor) -> float | None:  # type: ignore[no-untyped-def]
        """The MSE of what a method makes of so many pixels; None where there are no more than that."""
        if count >= math.prod(self.pictures.shape) or len(numbers) == 0:
            return None
        truth = self.pictures.pixels_of(numbers).flatten(1, 2)
        return (method(self.observed(count, numbers)) - truth).square().mean().item()

    def final(self, field: CoordinateMLP) -> Scores:
        """What refined codes and tuned fields give, of a field that has codes; {} of another."""
        if not isinstance(field, Coded):
            return {}
        spread = self.spread(field)
        truth = self.pictures.pixels_of(self.held).flatten(1, 2)
        every = self.pictures.look(self.held, torch.zeros_like(self.held))
        refined = decibels((_refined(field, every, spread) - truth).square().mean((1, 2))).mean().item()
        found: Scores = {"psnr_refined": refined}
        for count in FEW:
            found[f"mse_{count}"] = self._of(lambda seen: _encoded(field, seen), count, self.held)
            found[f"mse_{count}_refined"] = self._of(lambda seen: _refined(field, seen, spread), count, self.held)
            some = self.held[: self.tuned]
            found[f"mse_{count}_tuned"] = self._of(lambda seen: self.complete(field, seen, spread), count, some)
        return found

    def complete(self, field: Coded, seen: Observation, spread: Tensor) -> Tensor:
        """(P, S, C), with the code refined and then the field tuned."""
        code = completion.refine(field, seen, spread)
        return completion.complete(field, code, seen, self.steps).value

    def spread(self, field: Coded) -> Tensor:
        """(K,), the standard deviations of the codes of training pictures, 512 at most."""
        some = torch.linspace(0, self.pictures.trained - 1, min(512, self.pictures.trained)).round().long()
        found = completion.codes(field, (self.pictures.look(k, torch.zeros_like(k)) for k in some.split(64)))
        return found.std(0)

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """held_out.png: the truth, what is made of all pixels and of few; values alone of a field without codes."""
        numbers, rows = self.held[:_DRAWN], {}
        every = self.pictures.look(numbers, torch.zeros_like(numbers))
        rows["truth"] = every.values
        with torch.no_grad():
            x = torch.cat([self.pictures.at(every.x, int(k)) for k in numbers])
            rows["from all pixels"] = torch.cat([field(part) for part in x.split(8192)]).reshape(every.values.shape)
        if isinstance(field, Coded):
            spread = self.spread(field)
            rows["with the code refined"] = _refined(field, every, spread)
            for count in (count for count in FEW if count < math.prod(self.pictures.shape)):
                seen = self.observed(count, numbers)
                rows[f"{count} pixels"] = torch.where(seen.seen[..., None], seen.values, math.nan)
                rows["linear interpolation" + " " * len(rows)] = linear(seen)
                rows["the prior's completion" + " " * len(rows)] = self.complete(field, seen, spread)
        shape = (*self.pictures.shape, self.pictures.channels)
        drawn = {name: part.reshape(-1, *shape).double().cpu().numpy() for name, part in rows.items()}
        caption = f"held-out pictures: PSNR {scores['psnr']:.2f} dB from all pixels"
        if scores.get("psnr_refined") is not None:
            caption += f", {scores['psnr_refined']:.2f} dB with the code refined"
        write_atomically(folder / "held_out.png", sheet(drawn, caption))
        return {"held_out": folder / "held_out.png"}


def decibels(mse: Tensor) -> Tensor:
    """PSNR of mean squared errors, of values in [-1, 1]; at most 120 dB."""
    return 10 * torch.log10(4 / mse.clamp(min=4e-12))


def _encoded(field: Coded, seen: Observation) -> Tensor:
    """(P, S, C), by the encoder's codes."""
    with torch.no_grad():
        return completion.values(field, field.encoder(seen), seen.x)


def _refined(field: Coded, seen: Observation, spread: Tensor) -> Tensor:
    """(P, S, C), by refined codes."""
    with torch.no_grad():
        return completion.values(field, completion.refine(field, seen, spread), seen.x)


def linear(seen: Observation) -> Tensor:
    """(P, S, C): linear interpolation over a triangulation of the seen pixels, the nearest of them outside of it."""
    x, found = seen.x.double().cpu().numpy(), []
    for values, mask in zip(seen.values.double().cpu().numpy(), seen.seen.cpu().numpy(), strict=True):
        nearest = griddata(x[mask], values[mask], x, "nearest")
        inside = griddata(x[mask], values[mask], x, "linear") if mask.sum() > 3 else np.full_like(nearest, np.nan)
        found.append(np.where(np.isnan(inside), nearest, inside))
    return torch.from_numpy(np.stack(found)).to(seen.values)
