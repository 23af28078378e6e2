"""Patches of many pictures of which every n-th pixel is seen: what a prior over pictures learns from.

A point is (x, y, number of a picture, view): coordinates in a patch of `size` x `size` samples, and the seed of where
the patch lies and how it is shown: turned or mirrored, its channels mixed to grey, its contrast changed. Pictures of
half the resolution are further pictures. Truth is the cubic spline through all pixels of the picture. Held-out pictures
have numbers of their own, behind all others; their views are tiles, shown as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from sinefield.core.jet import Jet
from sinefield.errors import integer, positive, require
from sinefield.fields.conditional import CONDITIONS, Observation, pictures
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.signals.decoding.pixels import decode, resize
from sinefield.signals.images import listed
from sinefield.signals.shown import VIEWS, Shown, seeded

_KNOWN = 2**15  # points whose jets the mean squares are taken over


class Patches(Signal):
    """Patches of `size` x `size` samples of pictures, in grey, with values in [-1, 1].

    Args:
        paths: of the pictures to learn from, a folder or a list of files.
        held_out: of the pictures that are scored, a list of files.
        size: samples along each side of a patch.
        margin: samples around a patch that are seen too; the field's `reach` at least.
        points: per patch and step.
        on_pixels: the share of them that are pixels between the samples; the others lie anywhere.
        factor: n, of whose pixels along each axis one is seen.
        scales: of the resolutions to learn from, at most 1; a picture is left as it is at those that make it too small.
        softened: learn from the last of them blurred too, truth and samples alike, by each of these standard
            deviations in pixels.
        level: what the spline through every second pixel misses the others by, in the mean square's root, in all
            pictures to learn from: each is multiplied to that, so that a decibel counts alike in all of them; or None.
        most: by which they are multiplied at most.
        low_pass: standard deviation in pixels of the blur in front of the sampling; the truth is the sharp picture.
        noise: standard deviation of the noise on the samples, in values from -1 to 1.

    Raises:
        UserError: a file cannot be read as a picture, or is too small.
    """

    conditions = CONDITIONS
    shares: Tensor

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        held_out: Sequence[str | Path] = (),
        size: int = 24,
        margin: int = 8,
        points: int = 512,
        on_pixels: float = 0.5,
        factor: int = 2,
        scales: Sequence[float] = (1.0, 0.5),
        softened: Sequence[float] = (),
        level: float | None = 0.1,
        most: float = 2.0,
        low_pass: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        size = integer("signal.size", size, least=5)
        super().__init__((size, size), 1)
        self.margin, self.points = integer("signal.margin", margin, least=0), integer("signal.points", points, least=1)
        self.factor, self.noise, self.on_pixels = integer("signal.factor", factor, least=1), float(noise), on_pixels
        self.softened, self.most = [float(sd) for sd in softened], positive("signal.most", most)
        for scale in scales:
            require(0 < scale <= 1, f"signal.scales must be above 0 and at most 1, not {scale}")
        self.level = None if level is None else positive("signal.level", level)
        self.side = self.factor * (size - 1) + 1  # of a patch in pixels
        files = [str(file) for file in listed(paths)]
        both = sorted({Path(file).name for file in files} & {Path(file).name for file in held_out})
        require(not both, f"signal.held_out has pictures that are learnt from too: {', '.join(both)}")
        shown = [self._levelled(values) for file in files for values in self._sizes(file, scales)]
        self.count = len(shown)
        shown += [self._sizes(file)[0] for file in held_out]
        widened = [Shown(values, self.side, self.factor * self.margin, float(low_pass)) for values in shown]
        self.pictures = cast("Sequence[Shown]", nn.ModuleList(widened))
        folder = [paths] if isinstance(paths, str | Path) else []
        self.files = tuple(map(str, [*folder, *files, *held_out]))
        side = torch.tensor([float(np.prod(values.shape[:2])) for values in shown[: self.count]]).sqrt()
        self.register_buffer("shares", side.cumsum(0) / side.sum())  # of the patches, up to each picture

    def _sizes(self, file: str | Path, scales: Sequence[float] = (1.0,)) -> list[np.ndarray]:
        """The pictures (H, W, C) that are made of one file."""
        pixels = 2 * decode(file) - 1
        height, width = pixels.shape[:2]
        need = f"{file} is {width} x {height} pixels, and a patch takes {self.side}; take a smaller signal.size"
        require(min(height, width) >= self.side, need)
        sizes = [(int(scale * height), int(scale * width)) for scale in scales]
        found = [resize(pixels, *size) for size in sizes if min(size) >= self.side] or [pixels]
        return found + [ndimage.gaussian_filter(found[-1], (sd, sd, 0)) for sd in self.softened]

    def _levelled(self, pixels: np.ndarray) -> np.ndarray:
        """A picture (H, W, C) times what makes the spline miss its grey values by `level`."""
        if self.level is None:
            return pixels
        height, width = (n - 1 + n % 2 for n in pixels.shape[:2])
        grey = pixels[:height, :width].mean(axis=-1, keepdims=True)
        missed = (spline.refined(grey[::2, ::2]) - grey) ** 2
        error = math.sqrt(missed.sum() / (missed.size - missed[::2, ::2].size))
        return pixels * min(self.most, self.level / max(error, 1e-9))

    @property
    def held_out(self) -> list[int]:
        """The numbers of the pictures that are scored."""
        return list(range(self.count, len(self.pictures)))

    def show(self, field: Any) -> None:
        """Give the field the means to look at the patches.

        Raises:
            UserError: it looks at none, or farther than is seen.
        """
        require(hasattr(field, "observe"), "signal=patches is for a field that looks at pictures, field=local_prior")
        reach = getattr(field, "reach", 0)
        require(reach <= self.margin, f"signal.margin={self.margin} is less than the field's reach; give {reach}")
        field.observe(self.look)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 4): so many points in each of some patches."""
        patches, device = max(1, count // self.points), self.extent.device
        each = -(-count // patches)
        unit = torch.rand(patches, each, 4, generator=generator, device=device, dtype=self.extent.dtype)
        which = torch.rand(patches, generator=generator, device=device, dtype=self.extent.dtype)
        numbers = torch.searchsorted(self.shares, which).clamp(max=self.count - 1)
        views = torch.randint(1, VIEWS, (patches,), generator=generator, device=device)
        u = unit[..., :2] * (self.shape[0] - 1)
        if self.factor > 1:  # a pixel of the cell that is no sample
            pixel = 1 + (unit[..., 3:] * (self.factor**2 - 1)).floor()
            inner = torch.cat([pixel % self.factor, (pixel / self.factor).floor()], dim=-1) / self.factor
            u = torch.where(unit[..., 2:3] < self.on_pixels, u.floor() + inner, u)
        about = torch.stack([numbers, views], dim=-1).to(u).unsqueeze(1).expand(-1, each, -1)
        return torch.cat([super().coordinates(u), about], dim=-1).flatten(0, 1)[:count]

    def uniform(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 4), as `draw` has them."""
        return self.draw(count, generator)

    def coordinates(self, pixels: Tensor) -> Tensor:
        """(.., 4): those of the first patch of the first picture."""
        x = super().coordinates(pixels)
        return torch.cat([x, torch.zeros_like(x[..., :1]), torch.ones_like(x[..., :1])], dim=-1)

    def pixels(self, x: Tensor) -> Tensor:
        """(N, 2), in samples of the patch."""
        return super().pixels(x[..., :2])

    def samples(self, order: int = 0) -> Jet:
        """The jet at points of patches of all pictures, which the mean squares are taken over."""
        return self.jet(self.draw(_KNOWN, torch.Generator(self.extent.device).manual_seed(0)), order)

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, 1), gradient (N, 1, 2) and Laplacian (N, 1) of the fine pictures at x (N, 4)."""
        numbers, views, row = pictures(x[:, 2:])
        start, side, each = self.factor * self.margin, self.side + 2, zip(numbers.tolist(), views.tolist(), strict=True)
        shown = [self._shown(number, view, "c", start, side) for number, view in each]
        down = torch.stack([torch.zeros_like(row), row * side], dim=-1)
        position = self.factor * self.pixels(x) + down.to(x)
        return spline.evaluate(torch.cat(shown), position, 3, order, self.spacing / self.factor)

    def seen_spline(self, x: Tensor, order: int) -> Jet:
        """The jet of the spline through what is seen, at x (N, 4): the rival."""
        numbers, views, row = pictures(x[:, 2:])
        seen = self.look(numbers, views)
        samples = seen.values.unflatten(1, seen.shape).double().cpu().numpy()
        c = np.concatenate([spline.coefficients(each, 3) for each in samples])
        down = torch.stack([torch.zeros_like(row), row * (seen.shape[0] + 2)], dim=-1)
        position = self.pixels(x) + self.margin + down.to(x)
        return spline.evaluate(torch.from_numpy(c).to(x), position, 3, order, self.spacing)

    def interpolated(self, x: Tensor) -> Tensor:
        """(N, 1), the values of the spline through what is seen."""
        return self.seen_spline(x, 0).value

    def look(self, numbers: Tensor, views: Tensor) -> Observation:
        """The samples of patches and of the `margin` around them, (P, S, 1)."""
        side = self.factor * (self.shape[0] - 1 + 2 * self.margin) + 1
        each = list(zip(numbers.tolist(), views.tolist(), strict=True))
        seen = torch.stack([self._shown(n, view, "seen", 0, side)[:: self.factor, :: self.factor] for n, view in each])
        if self.noise:
            noise = [torch.randn(seen.shape[1:], generator=seeded(n, view)) for n, view in each]
            seen = seen + self.noise * torch.stack(noise).to(seen)
        n = self.shape[0] + 2 * self.margin
        index = torch.arange(n, device=seen.device) - self.margin
        x = super().coordinates(torch.stack(torch.meshgrid(index, index, indexing="xy"), dim=-1).to(seen)).flatten(0, 1)
        values = seen.flatten(1, 2)
        return Observation(numbers, views, x, values, torch.ones_like(values[..., 0], dtype=torch.bool), (n, n))

    def tiles(self, number: int) -> list[int]:
        """The views of a held-out picture that cover it, but for what is less than a patch."""
        return list(range(math.prod(self.pictures[number].tiles)))

    def _shown(self, number: int, view: int, name: str, start: int, side: int) -> Tensor:
        """(side, side, 1) of a picture's array, from `start` behind the first pixel of a view."""
        picture = self.pictures[number]
        chosen = picture.tile(view) if number >= self.count else picture.random(seeded(number, view))
        return picture.window(getattr(picture, name), chosen, start, side)
