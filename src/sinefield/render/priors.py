"""A finished run of many pictures at work: pictures completed, drawn at random, and those between two others."""

from __future__ import annotations

from collections.abc import Collection as Names
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.errors import integer, positive, require
from sinefield.fields.coded import Coded
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.runs import trusted_config
from sinefield.runs.configuration import build
from sinefield.runs.loading import load
from sinefield.signals.collection import Collection
from sinefield.signals.decoding.pixels import decode, middle, resize

_MANY = 256  # pictures at a time


class Prior:
    """The field of a finished run of `signal=collection`, with its pictures, which must be where they were.

    Args:
        run: the run folder.
        checkpoint: "last" or "best".
        trust: packages beside this one whose classes the folder's configuration may ask for.

    Raises:
        UserError: the run is not of such a signal, or its field has no codes.
    """

    def __init__(self, run: str | Path, checkpoint: str = "last", trust: Names[str] = ()) -> None:
        self.folder, field = Path(run), load(run, checkpoint, trust)
        said = "take a run of signal=collection with field=hypernetwork or field=modulated"
        require(isinstance(field, Coded), f"{run} has a field without codes; {said}")
        self.field = cast("Coded", field)
        self.signal: Collection = build(trusted_config.part(self.folder, "signal", trust))
        self.signal.show(cast("CoordinateMLP", self.field))

    @cached_property
    def codes(self) -> Tensor:
        """(P, K), of the pictures trained on."""
        numbers = torch.arange(self.signal.trained).split(_MANY)
        return self.field.codes(self.signal.look(k, torch.zeros_like(k)) for k in numbers)

    @property
    def spread(self) -> Tensor:
        """(K,), the standard deviations of these codes."""
        return self.codes.std(0)

    def number(self, picture: str) -> int | None:
        """Of a picture of the collection: by its name, or else the number itself; None for another."""
        if picture in self.signal.names:
            return self.signal.names.index(picture)
        return int(picture) if picture.isdecimal() and int(picture) < self.signal.count else None

    def pixels(self, picture: str) -> Tensor:
        """(S, C), a picture of the collection, or one from a file as the collection has its own.

        Of a file it is the square in its middle, in the collection's size and channels.
        """
        number, side, channels = self.number(picture), self.signal.shape[0], self.signal.channels
        if number is not None:
            return self.signal.pixels_of(torch.tensor([number])).flatten(1, 2)[0]
        values = 2 * resize(middle(decode(picture)), side, side).clip(0, 1) - 1
        if channels == 1:
            values = values.mean(axis=2, keepdims=True)
        wide = np.broadcast_to(values, (side, side, channels))
        return torch.from_numpy(wide.reshape(side * side, -1).copy()).to(self.signal.extent)

    def observe(self, picture: Tensor, seen: Tensor) -> Observation:
        """What is seen, (S,), of a picture (S, C) as of one that is in no collection."""
        nowhere, view = torch.tensor([-1]), torch.zeros(1, dtype=torch.long)
        values = (picture * seen[:, None])[None]
        return Observation(nowhere, view, self.signal.pixel_grid(), values, seen[None], self.signal.shape)

    def code(self, picture: str) -> Tensor:
        """(K,), the refined code of a picture: a name or a number in the collection, or a file."""
        number, pixels = self.number(picture), self.pixels(picture)
        observation = self.observe(pixels, torch.ones(len(pixels), dtype=torch.bool))
        if number is not None:  # an encoder may know it by its number
            observation = observation._replace(numbers=torch.tensor([number]))
        return self.field.refine(observation, self.spread)[0]

    def picture(self, code: Tensor, scale: int = 1) -> np.ndarray:
        """(H', W', C), the field of a code (K,) on the grid with `scale` points for each spacing of the pixels."""
        return self.drawn(self.field.fields(code[None]), scale)

    @torch.no_grad()
    def drawn(self, stack: CoordinateMLP, scale: int = 1) -> np.ndarray:
        """(H', W', C), the first field of a stack on the grid with `scale` points for each spacing of the pixels."""
        scale = integer("scale", scale, least=1)
        grid = self.signal.lattice([torch.arange(n) for n in self.signal.fine_shape(scale)], scale)[..., :2]
        values = torch.cat([stack.jet(x, 0).value[0] for x in grid.flatten(0, 1).split(BLOCK)])
        return values.reshape(*grid.shape[:2], -1).double().numpy()

    def samples(self, count: int, mixture: int = 1, spread: float = 1.0, seed: int = 0) -> Tensor:
        """(count, K), codes drawn from a mixture of Gaussians over those of the training pictures.

        Args:
            mixture: how many; they share one covariance, that around the means.
            spread: multiplies what is drawn around the means: below 1 there is less variety and more that is known.
            seed: of the random numbers.
        """
        count, mixture = integer("count", count, least=1), integer("mixture", mixture, least=1, most=len(self.codes))
        codes = self.codes.double()
        means, label = torch.zeros_like(codes[:1]) + codes.mean(0), torch.zeros(len(codes), dtype=torch.long)
        if mixture > 1:
            found, which = kmeans2(codes.numpy(), mixture, minit="++", rng=np.random.default_rng(seed), missing="warn")
            means, label = torch.from_numpy(found), torch.from_numpy(which).long()
        around = codes - means[label]
        covariance = around.T @ around / len(codes)
        covariance += 1e-6 * covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(len(covariance))
        generator = torch.Generator().manual_seed(seed)
        picked = label[torch.randint(len(codes), (count,), generator=generator)]
        noise = torch.randn(count, codes.shape[1], generator=generator, dtype=codes.dtype)
        drawn = means[picked] + positive("spread", spread) * noise @ torch.linalg.cholesky(covariance).T
        return drawn.to(self.codes)

    def nearest(self, pictures: Tensor) -> Tensor:
        """(P,), the numbers of the training pictures with the least mean squared error to each of (P, S, C)."""
        best, found = torch.full((len(pictures),), torch.inf), torch.zeros(len(pictures), dtype=torch.long)
        flat = pictures.flatten(1)
        for numbers in torch.arange(self.signal.trained).split(_MANY):
            least, place = torch.cdist(flat, self.signal.pixels_of(numbers).flatten(1)).min(1)
            found = torch.where(least < best, numbers[place], found)
            best = torch.minimum(best, least)
        return found
