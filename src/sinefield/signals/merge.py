"""Two pictures merged by their gradients: a vector field to integrate, which need not be any picture's gradient.

    v = w_a grad a + w_b grad b   in Omega, the part of the canvas where b counts,      v = grad a   outside
    u = argmin int |grad u - v|^2,   u = a outside Omega and on its border              =>  lap u = div v in Omega

The canvas is picture a's grid. b lies on it moved and scaled, ``b(x) = B((x - corner) / s - extent_B)``, so by the
chain rule its gradient is grad B / s and its Laplacian lap B / s^2. Where Omega is the whole canvas the border is free
and u keeps each channel's mean of a. Source: Pérez, Gangnet & Blake, Poisson Image Editing, SIGGRAPH 2003.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import BLOCK, Jet
from sinefield.errors import positive, require
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.signals.decoding.pixels import decode, resize
from sinefield.signals.image import Image
from sinefield.signals.merging import lines, poisson
from sinefield.signals.merging.region import Region, rectangle
from sinefield.signals.merging.rules import Mean, Rule

_STEP = 1.0  # spacings between the nodes of a line integral in training
_EDGE_STEP = 1 / 16  # of the integrals along pixel edges, taken once


class Merge(Signal):
    """Pictures a and b merged by a rule for their gradients, on the canvas of a.

    The jet's gradient is v. Its Laplacian is the rule's mixture of the two Laplacians, which is div v but for the
    jumps of v across the lines where a rule changes its mind and across Omega's border: no function has those.
    Where v has a potential (a rule of constant shares, b all over the canvas) the value is that potential. Elsewhere
    the value is the classical solution, `poisson`, on the samples, in Omega a spline through it: the reference a field
    is scored against. Losses on derivatives see v alone, and values where they are a's: see `border`.

    Args:
        paths: two picture files, a and b. Grey with colour becomes colour.
        rule: what part a and b have in v; the mean where None.
        mask: a picture file of a's size, white where b counts, black where a is to stay; None: all that b covers.
            Omega consists of the squares between four pixel centres that have one of the mask's pixels as a corner,
            so its border runs through the nearest pixels that stay.
        offset: where b's first pixel lies on the canvas, (right, down) in pixels of the canvas.
        scale: b's longest side over the canvas's longest side. b has the canvas's resolution, or its own if less.
        size, degree, allow_huge, white: as of `Image`; the size is a's.

    Raises:
        UserError: not two pictures, a file that is no picture, no pixel where b counts, a mask of another size.
    """

    corner: Tensor
    solution: Tensor | None

    def __init__(
        self,
        paths: Sequence[str | Path],
        rule: Rule | None = None,
        mask: str | Path | None = None,
        offset: Sequence[float] = (0.0, 0.0),
        scale: float = 1.0,
        size: int | None = 256,
        degree: int = 3,
        allow_huge: bool = False,
        white: float | None = None,
    ) -> None:
        pair = isinstance(paths, list | tuple) and len(paths) == 2
        require(pair, f"signal.paths must be two pictures, [a.jpg,b.jpg], not {paths!r}")
        image = partial(Image, holdout=False, degree=degree, allow_huge=allow_huge, white=white)
        a = image(paths[0], size)
        wanted = round(positive("signal.scale", scale) * (max(a.shape) - 1)) + 1
        require(wanted > degree, f"signal.scale={scale} leaves {wanted} pixels of {paths[1]}; take a larger one")
        b = image(paths[1], wanted)
        super().__init__(a.shape, max(a.channels, b.channels))
        pair = isinstance(offset, list | tuple) and len(offset) == 2
        require(pair, f"signal.offset must be [right, down] in pixels of the merged picture, not {offset!r}")
        self.a, self.b, self.degree, self.scale = a, b, degree, float(scale)
        self.files = (*a.files, *b.files, *([] if mask is None else [str(mask)]))
        self.rule = Mean() if rule is None else rule
        cure = "choose signal/rule=… from conf/signal/rule"
        require(isinstance(self.rule, Rule), f"signal.rule must be a Rule, not {rule!r}; {cure}")
        self.register_buffer("corner", self.coordinates(torch.tensor([float(p) for p in offset])))
        counts = self._covered(paths[1])
        if mask is not None:
            drawn, own = (decode(path, allow_huge=allow_huge) for path in (mask, paths[0]))
            sizes = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (drawn, own)]
            require(sizes[0] == sizes[1], f"{mask} is {sizes[0]} pixels; draw it over {paths[0]}, which is {sizes[1]}")
            counts &= resize(drawn, *a.shape).mean(axis=2) > 0.5
            require(bool(counts.any()), f"{mask} is white nowhere that {paths[1]} covers; check it and signal.offset")
        self.region = Region(counts)
        self.register_buffer("solution", None)
        if not (self.region.whole and self.rule.constant):
            self.solution = torch.from_numpy(spline.coefficients(self._solve(), degree)).to(a.c)

    def jet(self, x: Tensor, order: int) -> Jet:
        """The reference value (N, C), v (N, C, 2) and its divergence (N, C) at coordinates x (N, 2)."""
        a, b = self.of_a(x, order), self.of_b(x, order)
        merged = a
        if order > 0 or self.solution is None:
            w_a, w_b = self._shares(x, a, b)
            parts = zip(a.parts, b.parts, strict=True)
            merged = a.of(
                [torch.einsum("n,n...->n...", w_a, p) + torch.einsum("n,n...->n...", w_b, q) for p, q in parts]
            )
        if self.solution is None:
            return merged
        reference = spline.evaluate(self.solution, self.pixels(x), self.degree, 0).value
        return merged._replace(value=torch.where(self._counts(x)[:, None], reference, a.value))

    def of_a(self, x: Tensor, order: int) -> Jet:
        """The jet of a at coordinates x (N, 2), with all channels of the merged picture."""
        return self._promoted(self.a.jet(x, order))

    def of_b(self, x: Tensor, order: int) -> Jet:
        """The jet of b at coordinates x (N, 2) of the canvas, where b lies; its edge goes on elsewhere."""
        box = self.b.extent
        jet = self.b.jet(((x - self.corner) / self.scale - box).clamp(-box, box), order)
        return self._promoted(jet.of([part / self.scale**k for k, part in enumerate(jet.parts)]))

    def integral(self, start: Tensor, end: Tensor, step: float = _STEP) -> Tensor:
        """(N, C), the integral of v along the straight lines from start (N, 2) to end (N, 2).

        Exact where the shares do not change along the line: there it is the pictures' differences. Elsewhere the
        shares are looked up in the middle of parts at most `step` spacings long.
        """
        spacings = (end - start).norm(dim=1) / self.spacing
        parts = (spacings / step).ceil().clamp(min=1) if self.solution is not None else torch.ones_like(spacings)

        def shares(x: Tensor) -> tuple[Tensor, Tensor]:
            blank = Jet(x[:, :1])
            jets = (blank, blank) if self.rule.constant else (self.of_a(x, 1), self.of_b(x, 1))
            return self._shares(x, *jets)

        pictures = [lambda x, jet=jet: jet(x, 0).value for jet in (self.of_a, self.of_b)]
        return lines.integral(start, end, parts.long(), shares, pictures)

    def uniform(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 2) random coordinates; every second one in Omega, however small, where alone there is work to do."""
        x = super().uniform(count, generator)
        if not self.region.whole:
            x[1::2] = self.coordinates(self.region.uniform(count // 2, generator))
        return x

    def border(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 2), where the values are a's: half on Omega's border, half outside it, as far as there is either.

        Raises:
            UserError: b counts on the whole canvas and v has no potential, so no values are known.
        """
        if self.region.whole:
            cure = "use loss/term@loss.terms.border=mean, or a mask that leaves some of a"
            require(self.solution is None, f"this merged picture has no known values: {cure}")
            return super().border(count, generator)
        return self.coordinates(self.region.around(count, generator))

    def distance_to_border(self, x: Tensor, farthest: float) -> Tensor:
        """(N, 1), the reach around x (N, 2) that meets neither the box's border nor Omega's; `farthest` as of any."""
        room = super().distance_to_border(x, farthest)
        if self.region.whole:
            return room
        return room.minimum(self.region.clearance(self.pixels(x)) * self.spacing / farthest)

    def extras(self) -> dict[str, Tensor]:
        """The pictures that were merged, as they lie on the canvas, (H, W, C); black where b does not count."""
        x = self.grid()
        b = torch.where(self._counts(x)[:, None], self.of_b(x, 0).value, -1.0)
        return {"a": self.of_a(x, 0).value.unflatten(0, self.shape), "b": b.unflatten(0, self.shape)}

    def _promoted(self, jet: Jet) -> Jet:
        """A grey jet with as many equal channels as the merged picture has."""
        return jet.map(lambda part: part.expand(len(part), self.channels, *part.shape[2:]))

    def _counts(self, x: Tensor) -> Tensor:
        return self.region.contains(self.pixels(x))

    def _shares(self, x: Tensor, a: Jet, b: Jet) -> tuple[Tensor, Tensor]:
        """(w_a, w_b) of the rule in Omega, (1, 0) outside; (N,) each."""
        counts, (of_a, of_b) = self._counts(x), self.rule(a, b)
        return torch.where(counts, of_a, 1.0), torch.where(counts, of_b, 0.0)

    def _solve(self, upsampling: int = 1) -> np.ndarray:
        """(H', W', C), the classical solution on the samples, or on a grid that divides each spacing further."""
        grid = self.grid(upsampling=upsampling).unflatten(0, self.fine_shape(upsampling))

        def edges(start: Tensor, end: Tensor) -> np.ndarray:
            pieces = zip(start.flatten(0, 1).split(BLOCK // 16), end.flatten(0, 1).split(BLOCK // 16), strict=True)
            integrals = torch.cat([self.integral(*piece, step=_EDGE_STEP) for piece in pieces])
            return integrals.unflatten(0, start.shape[:2]).double().numpy()

        across, down = edges(grid[:, :-1], grid[:, 1:]), edges(grid[:-1], grid[1:])
        points, shape = grid.flatten(0, 1), grid.shape[:2]
        values = self.of_a(points, 0).value.unflatten(0, shape).double().numpy()
        if self.region.whole:
            return poisson.neumann(across, down, values)
        return poisson.dirichlet(across, down, values, self._counts(points).unflatten(0, shape).numpy())

    def _covered(self, path: str | Path) -> np.ndarray:
        """(H, W) booleans: the pixels with all squares around them on b."""
        first, last = self.pixels(torch.stack([self.corner, self.corner + 2 * self.scale * self.b.extent])).tolist()
        counts = rectangle(self.shape, first, last)
        columns, rows = (f"{low:.4g} to {high:.4g}" for low, high in zip(first, last, strict=True))
        place = f"columns {columns}, rows {rows} of the merged picture of {self.shape[1]} x {self.shape[0]} pixels"
        cure = "no pixel of it; change signal.offset or signal.scale"
        require(bool(counts.any()), f"{path} would fill {place}: {cure}")
        return counts
