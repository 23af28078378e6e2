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
from scipy.spatial import QhullError
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.errors import integer, require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.evaluation.collection_pictures import sheet
from sinefield.fields.coded import Coded
from sinefield.fields.components import Components
from sinefield.fields.conditional import Observation
from sinefield.signals.collection import Collection as Pictures
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

FEW = (10, 100, 1000)  # pixels: those of the paper's table
_DRAWN = 8  # pictures on the sheet
_MANY = 2048  # training pictures, at most, that principal components are those of
_KNOWN = ("psnr", "psnr_trained", *(f"mse_{n}_linear" for n in FEW))  # without a code
_WAYS = {"": "encoder", "_refined": "code refined", "_tuned": "field tuned"}
_RIVALS = {"_linear": "linear interpolation", "_components": "principal components"}


class Collection(Evaluation):
    """Looks at held-out pictures, evenly spread over all of them, and at as many of those trained on.

    Args:
        pictures: held-out pictures that are looked at, at most.
        steps: of tuning a field of each picture's own.

    Raises:
        UserError: the signal is no collection.
    """

    shown = (
        Score("psnr", "PSNR of held-out pictures", "dB"),
        Score("psnr_refined", "  with the code refined", "dB"),
        Score("psnr_components", "  of as many principal components", "dB", direction=""),
        Score("psnr_trained", "PSNR of training pictures", "dB", direction=""),
        *(
            Score(f"mse_{n}{way}", f"MSE from {n} pixels, {said}", digits=4, direction="min" if way in _WAYS else "")
            for n in FEW
            for way, said in {**_WAYS, **_RIVALS}.items()
        ),
    )

    def __init__(self, signal: Signal, loss: Loss, pictures: int = 64, steps: int = 300) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Pictures), "evaluation=collection is for many pictures; take signal=collection")
        self.pictures = cast("Pictures", signal)
        held, own = self.pictures.count - self.pictures.trained, self.pictures.trained
        most = integer("evaluation.pictures", pictures, least=1)
        self.steps = integer("evaluation.steps", steps, least=1)
        self.held = own + torch.linspace(0, held - 1, min(most, held)).round().long()
        self.rows: list[tuple[str, Tensor]] = []  # of `final`: words, and values (P, S, C)
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
        truth = self.pictures.pixels_of(self.held).flatten(1, 2)
        few = [count for count in FEW if count < truth.shape[1]]
        found = {
            f"mse_{count}_linear": (linear(self.observed(count, self.held)) - truth).square().mean().item()
            for count in few
        }
        return {f"mse_{count}_linear": None for count in FEW} | found

    def final(self, field: CoordinateMLP) -> Scores:
        """What refined codes, tuned fields and their linear rival give, for a field that has codes; {} for another."""
        unknown: Scores = {score.key: None for score in self.shown if score.key not in _KNOWN}
        every = self.pictures.look(self.held, torch.zeros_like(self.held))
        truth, self.rows = every.values, [("truth", every.values)]
        if not isinstance(field, Coded):
            with torch.no_grad():
                alone = [field(self.pictures.at(every.x, int(k))) for k in self.held[:_DRAWN]]
            self.rows.append(("from all pixels", torch.stack(alone)))
            return unknown
        spread = field.codes(self.pictures.look(k, 0 * k) for k in self._known(512).split(64)).std(0)
        rival = Components(self.pictures.pixels_of(self._known(_MANY)).flatten(1, 2), field.code)
        found = unknown
        for count in (None, *FEW):
            if count is not None and count >= truth.shape[1]:
                continue
            seen = every if count is None else self.observed(count, self.held)
            made = self._made(field, seen, spread, tuned=count is not None)
            made["_components"] = rival.complete(seen)
            if count is None:
                psnr = {way: decibels((made[way] - truth).square().mean((1, 2))) for way in ("_refined", "_components")}
                found |= {f"psnr{way}": each.mean().item() for way, each in psnr.items()}
                self.rows += [("from all pixels", made[""]), ("with the code refined", made["_refined"])]
            else:
                found |= {f"mse_{count}{way}": (one - truth).square().mean().item() for way, one in made.items()}
                shown = torch.where(seen.seen[..., None], seen.values, math.nan)
                self.rows += [(f"{count} pixels", shown), ("linear interpolation", linear(seen))]
                self.rows += [("the code alone", made["_refined"]), ("the field tuned", made["_tuned"])]
        return found

    def _made(self, field: Coded, seen: Observation, spread: Tensor, tuned: bool) -> dict[str, Tensor]:
        """(P, S, C), of each way: by the encoder's codes, by refined ones, by fields that are tuned as well."""
        first, code = field.codes([seen]), field.refine(seen, spread)
        with torch.no_grad():
            found = {"": field.values(first, seen.x), "_refined": field.values(code, seen.x)}
        if tuned:
            stack = field.tune(code, seen, self.steps)
            with torch.no_grad():
                found["_tuned"] = stack.jet(seen.x.expand(len(code), -1, -1), 0).value
        return found

    def _known(self, most: int) -> Tensor:
        """The numbers of training pictures, evenly spread, so many at most."""
        return torch.linspace(0, self.pictures.trained - 1, min(most, self.pictures.trained)).round().long()

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """held_out.png: some of the pictures, what is made of all of their pixels and of few, as `final` found it."""
        shape = (-1, *self.pictures.shape, self.pictures.channels)
        drawn = [(name, part[:_DRAWN].reshape(shape).double().cpu().numpy()) for name, part in self.rows]
        caption = f"held-out pictures: PSNR {scores['psnr']:.2f} dB from all pixels"
        if scores.get("psnr_refined") is not None:
            caption += f", {scores['psnr_refined']:.2f} dB with the code refined"
        write_atomically(folder / "held_out.png", sheet(drawn, caption))
        return {"held_out": folder / "held_out.png"}


def decibels(mse: Tensor) -> Tensor:
    """PSNR of mean squared errors, of values in [-1, 1]; at most 120 dB."""
    return 10 * torch.log10(4 / mse.clamp(min=4e-12))


def linear(seen: Observation) -> Tensor:
    """(P, S, C): linear interpolation over a triangulation of the seen pixels, the nearest of them outside of it."""
    x, found = seen.x.double().cpu().numpy(), []
    for values, mask in zip(seen.values.double().cpu().numpy(), seen.seen.cpu().numpy(), strict=True):
        nearest = griddata(x[mask], values[mask], x, "nearest")
        try:
            inside = griddata(x[mask], values[mask], x, "linear")
        except QhullError:  # fewer than three, or all on a line
            inside = np.full_like(nearest, np.nan)
        found.append(np.where(np.isnan(inside), nearest, inside))
    return torch.from_numpy(np.stack(found)).to(seen.values)
