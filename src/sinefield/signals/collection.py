"""Thousands of pictures as one signal: points carry the number of a picture and the seed of what is seen of it.

A picture is the spline through its pixels, so all derivatives are exact. Some pictures are held out: nothing is drawn
from them. Of a picture with view v, a seed, a random part of its pixels is seen, as many as a number that is
log-uniform from `fewest` to all; with view 0 all are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.fields.conditional import CONDITIONS, Conditional, Observation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.signals.collecting.memory import pictures, split

_SHOWN = 64  # pictures whose samples stand for all where a mean square is asked
_BEGUN = 4096  # pictures that a field is shown before it is trained, at most
_VIEWS = 2**24  # seeds of views, which float32 has exactly


class Collection(Signal):
    """Pictures of one size, values in [-1, 1]: `trained` to train on, and those held out behind them.

    x is (N, 4): two coordinates, the number of a picture, its view.

    Args:
        paths: a folder, whose subfolders count, a list of files, or faces, skimage, digits or twemoji.
        size: pixels a side, at most those of the largest picture; None for those of the smallest. Pictures give the
            square in their middle.
        patch: cut the pictures into squares of so many pixels instead; None for not.
        patches: of one picture, at most.
        held_out: share of the pictures that is held out; pictures that are nearly the same stay together.
        together: pictures of one step, which share its points.
        fewest: pixels that are seen of a picture at least.
        whole: share of the pictures of a step of which all pixels are seen.
        degree: p of the splines, odd, at least 3.
        cache: folder of the memory map; None for ~/.cache/sinefield.
        crops: so many random squares of each picture instead, of sides from `size` to the whole, turned, mirrored and
            inverted at random; None for none.

    Attributes:
        trained, count: pictures to train on, and all.
        names: of all, in the order of their numbers.

    Raises:
        UserError: see `sinefield.signals.collecting`.
    """

    conditions = CONDITIONS
    matrix: Tensor  # from pixels along an axis to coefficients

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path] = "faces",
        size: int | None = 32,
        patch: int | None = None,
        patches: int = 256,
        held_out: float = 0.1,
        together: int = 32,
        fewest: int = 10,
        whole: float = 0.5,
        degree: int = 3,
        cache: str | Path | None = None,
        crops: int | None = None,
    ) -> None:
        degree = integer("signal.degree", degree, least=3)
        require(degree % 2 == 1, f"signal.degree must be odd (3, 5, ...), not {degree}")
        size = None if size is None else integer("signal.size", size, least=degree + 1)
        patch = None if patch is None else integer("signal.patch", patch, least=degree + 1)
        for name, share in (("held_out", held_out), ("whole", whole)):
            require(0 <= share <= 1, f"signal.{name} must be a share from 0 to 1, not {share}")
        listed = paths if isinstance(paths, str | Path) else list(paths)
        each = None if crops is None else integer("signal.crops", crops, least=1)
        require(each is None or patch is None, "signal.crops and signal.patch both cut pictures; give one of them")
        found = pictures(listed, size, patch, integer("signal.patches", patches, least=1), cache, each)
        inside, outside = split(found.names, found.families, held_out)
        super().__init__(tuple(found.values.shape[1:3]), found.values.shape[3])
        self.values, self.order = found.values, np.array(inside + outside)
        self.trained, self.count, self.files = len(inside), len(found.names), found.files
        self.names = [found.names[k] for k in self.order]
        self.families = [found.families[k] for k in self.order]
        self.degree, self.whole = degree, whole
        self.together = integer("signal.together", together, least=1)
        self.fewest = min(integer("signal.fewest", fewest, least=1), math.prod(self.shape))
        self.register_buffer(
            "matrix", torch.from_numpy(spline.coefficients(np.eye(self.shape[0]), degree)).to(self.extent)
        )
        self.shown = torch.linspace(0, self.trained - 1, min(_SHOWN, self.trained)).round().long()

    def pixels_of(self, numbers: Tensor) -> Tensor:
        """(P, H, W, C), the values in [-1, 1] of pictures (P,), from 8 bits: 2 v / 255 - 1."""
        stored = self.values[self.order[numbers.cpu().numpy()]]
        return torch.from_numpy(stored).to(self.extent) * (2 / 255) - 1

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, 2) and Laplacian (N, C) at x (N, 4), as deep as `order` asks."""
        which, row = x[:, self.dims].detach().long().unique(return_inverse=True)
        c = torch.einsum("am,pmnc,bn->pabc", self.matrix, self.pixels_of(which), self.matrix)
        return spline.evaluate(c, self.pixels(x[:, : self.dims]), self.degree, order, self.spacing, row)

    def show(self, field: CoordinateMLP) -> None:
        """Give the field the means to look at the pictures; `UserError` where it is for one alone."""
        cure = "take field=hypernetwork, or another for many pictures"
        many: nn.Module = field
        require(isinstance(many, Conditional), f"signal=collection: {type(field).__name__} is a field of one; {cure}")
        cast("Conditional", many).observe(self.look)

    def prepare(self, field: CoordinateMLP) -> None:
        """Show the field many pictures to start from."""
        some = torch.linspace(0, self.trained - 1, min(_BEGUN, self.trained)).round().long()
        cast("Conditional", field).begin(self.pixel_grid(), self.pixels_of(some).flatten(1, 2))

    def look(self, numbers: Tensor, views: Tensor) -> Observation:
        """What is seen of pictures (P,) in views (P,)."""
        return self.observation(numbers, self.seen(numbers, views), views)

    def observation(self, numbers: Tensor, seen: Tensor, views: Tensor | None = None) -> Observation:
        """Pictures (P,) of which the pixels `seen` (P, S) are."""
        values = self.pixels_of(numbers).flatten(1, 2) * seen[..., None]
        views = torch.zeros_like(numbers) if views is None else views
        return Observation(numbers, views, self.pixel_grid(), values, seen, self.shape)

    def seen(self, numbers: Tensor, views: Tensor) -> Tensor:
        """(P, S): which pixels are seen of pictures in views; a function of number and view alone."""
        samples = math.prod(self.shape)
        seen = torch.ones(len(views), samples, dtype=torch.bool)
        for row, (number, view) in enumerate(zip(numbers.tolist(), views.tolist(), strict=True)):
            if view:
                generator = torch.Generator().manual_seed(number * _VIEWS + view)
                unit = torch.rand((), generator=generator, dtype=torch.float64)
                count = round(self.fewest * (samples / self.fewest) ** float(unit))
                seen[row, torch.randperm(samples, generator=generator)[count:]] = False
        return seen.to(self.extent.device)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 4): `together` pictures, their pixels at random, each as often as can be; views as `whole` says."""
        samples, device = math.prod(self.shape), self.extent.device
        condition = self._conditions(count, generator)
        room = -(-count // min(self.together, count))
        rank = torch.rand(min(self.together, count), max(room, samples), generator=generator, device=device).argsort(1)
        pixel = rank[:, :room].flatten()[:count] % samples
        return torch.cat([super().grid(pixel), condition], dim=1)

    def uniform(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 4): anywhere in `together` pictures, with views as `whole` says."""
        return torch.cat([super().uniform(count, generator), self._conditions(count, generator)], dim=1)

    def everywhere(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(P N, 4): coordinates x (N, 2) in each of `together` pictures, with views as `whole` says."""
        which = self._conditions(self.together, generator).repeat_interleave(len(x), 0)
        return torch.cat([x.repeat(self.together, 1), which], dim=1)

    def _conditions(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 2), number and view of `together` pictures to train on, unlike where there are enough, in turn."""
        device, most = self.extent.device, min(self.together, count)
        numbers = torch.randperm(self.trained, generator=generator, device=device).repeat(-(-most // self.trained))[
            :most
        ]
        views = torch.randint(1, _VIEWS, (most,), generator=generator, device=device)
        views[torch.rand(most, generator=generator, device=device) < self.whole] = 0
        row = torch.arange(count, device=device) // -(-count // most)
        return torch.stack([numbers, views], dim=1)[row].to(self.extent.dtype)

    def pixel_grid(self) -> Tensor:
        """(S, 2), the pixels of any of the pictures."""
        return super().grid()

    def at(self, x: Tensor, number: int, view: int = 0) -> Tensor:
        """Coordinates x (..., 2) as points (..., 4) of one picture."""
        return torch.cat([x, x.new_tensor([number, view]).expand(*x.shape[:-1], 2)], dim=-1)

    def grid(self, index: Tensor | None = None, upsampling: int = 1) -> Tensor:
        """(N, 4): the grid's points in some pictures to train on, evenly spread, which stand for all."""
        points = [self.at(super(Collection, self).grid(None, upsampling), int(k)) for k in self.shown]
        return torch.cat(points) if index is None else torch.cat(points)[index]

    def lattice(self, numbers: Sequence[Tensor], upsampling: int = 1) -> Tensor:
        """(n_1, n_2, 4), as of one signal, in the first picture."""
        return self.at(super().lattice(numbers, upsampling), 0)

    def evaluation_grid(self, upsampling: int = 1) -> Tensor:
        """(K, H', W', 4): the points of `grid`."""
        return self.grid(None, upsampling).unflatten(0, (-1, *self.fine_shape(upsampling)))

    def distance_to_border(self, x: Tensor, farthest: float) -> Tensor:
        """(N, 1), see `Signal.distance_to_border`."""
        return super().distance_to_border(x[:, : self.dims], farthest)

    def __len__(self) -> int:
        """The number of samples of `grid`."""
        return len(self.shown) * math.prod(self.shape)
