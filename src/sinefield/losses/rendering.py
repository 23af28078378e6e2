"""What a pixel sees of density and colour along its ray, and how far that is from the pixel's colour.

    C = sum_i w_i c_i + (1 - sum_i w_i) background      w_i = T_i a_i      T_i = prod_{j<i} (1 - a_j)
    a_i = 1 - exp(-25 density_i length_i)

over S points along the ray, in order, each of which stands for the part of the ray up to half way to its neighbours; a
density of 1 lets 4 % pass through an eighth of a unit. A point is x (N, 3 + 7): place, direction (3), its distance from
where the ray enters the box, the length of the ray in the box, number of the view, number of the pixel.
Source: Max (1995), as in Mildenhall et al. (NeRF), arXiv 2003.08934, eq. 3 and sec. 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.losses.base import Equation
from sinefield.losses.schedule import Weight

if TYPE_CHECKING:
    from sinefield.signals.base import Signal

OPACITY = 25.0  # per unit of coordinate, of a density of 1
_FLOOR = 0.1  # of the points along a ray are spread evenly, whatever the field says


class Rendered(Equation):
    """``C - pixel``, of pixels drawn from all views that are trained on; colours in [-1, 1].

    Args:
        weight: multiplies the term.
        rays: pixels per step.
        samples: S, points along each ray.
        coarse: how many points along each ray say where the S are looked for; 0: they are spread evenly.
    """

    def __init__(self, weight: Weight = 1.0, rays: int = 1024, samples: int = 32, coarse: int = 32) -> None:
        super().__init__(weight)
        self.rays = integer("the rays of a term", rays, least=1)
        self.samples = integer("the samples of a term", samples, least=2)
        self.coarse = integer("the coarse of a term", coarse, least=0)
        self.group = self.samples
        self.background = 1.0

    def points(self, signal: Signal, generator: torch.Generator, progress: float) -> Tensor:
        """(rays S, 10), one point at random in each of S equal parts of each ray."""
        views: Any = signal
        require(hasattr(signal, "rays"), "loss=rendered is for views of a scene; take signal=scene")
        device = views.rays.device
        seen = torch.tensor(views.seen, device=device)
        view = seen[torch.randint(len(seen), (self.rays,), generator=generator, device=device)]
        pixel = torch.randint(views.rays.shape[1], (self.rays,), generator=generator, device=device)
        self.background = views.background
        jitter = torch.rand(self.rays, self.samples, generator=generator, device=device, dtype=views.rays.dtype)
        return along(views, view, pixel, jitter)

    def known(self, signal: Signal, x: Tensor) -> Jet:
        """(N, 3), the colour of the pixel that each point belongs to."""
        views: Any = signal
        return Jet(views.pixels_of(x[:, 8].long(), x[:, 9].long()).to(x))

    def refine(self, field: nn.Module, x: Tensor) -> Tensor:
        """The points where the field has something to see: see `refined`."""
        return refined(field, x, self.samples, self.coarse)

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        """(n, 3)."""
        colour, _ = composite(field.value, x, self.samples, self.background)
        return colour - known.value[:: self.samples]


def along(views: Any, view: Tensor, pixel: Tensor, jitter: Tensor) -> Tensor:
    """(n S, 10), points of the rays of pixels (n,), each at `jitter` (n, S), from 0 to 1, of its part of the ray."""
    origin, ray = views.poses[view, :, 3], views.rays[view, pixel]
    edges = torch.stack([(-views.extent - origin) / ray, (views.extent - origin) / ray])  # inf where it runs along
    near = edges.amin(dim=0).amax(dim=1).clamp(min=0)
    length = (edges.amax(dim=0).amin(dim=1) - near).clamp(min=0)  # 0 of a ray that misses the box
    count = jitter.shape[1]
    t = (torch.arange(count, device=ray.device) + jitter) / count * length[:, None]
    start = origin + near[:, None] * ray
    place = start[:, None] + t[..., None] * ray[:, None]
    rest = torch.stack([length, view.to(ray), pixel.to(ray)], dim=1)
    parts = [place, ray[:, None].expand_as(place), t[..., None], rest[:, None].expand(-1, count, -1)]
    return torch.cat(parts, dim=-1).flatten(0, 1)


def composite(values: Tensor, x: Tensor, samples: int, background: float) -> tuple[Tensor, Tensor]:
    """Colours (n, 3) of the rays, and the weights w (n, S), from density and colour (N, 4) at points x (N, 10)."""
    density, colour = values[:, 0].unflatten(0, (-1, samples)), values[:, 1:].unflatten(0, (-1, samples))
    t, length = (x[:, k].unflatten(0, (-1, samples)) for k in (6, 7))
    middles = (t[:, 1:] + t[:, :-1]) / 2
    parts = torch.cat([middles, length[:, :1]], dim=1) - torch.cat([torch.zeros_like(t[:, :1]), middles], dim=1)
    depth = OPACITY * density * parts
    passed = torch.exp(-(depth.cumsum(dim=1) - depth))  # T
    weights = passed * -torch.expm1(-depth)
    seen = (weights[..., None] * colour).sum(dim=1)
    return seen + (1 - weights.sum(dim=1, keepdim=True)) * background, weights


def refined(field: nn.Module, x: Tensor, samples: int, coarse: int) -> Tensor:
    """The points x (N, 10) moved along their rays to where most of the colour comes from.

    The weights of `coarse` points in the middles of equal parts of the ray, and a tenth spread evenly, are a density of
    probability; x's own places along the ray, as parts of its length, are taken through the inverse of its integral. So
    they stay in order, and are where they would be drawn by it.
    """
    if coarse == 0:
        return x
    rows = x.unflatten(0, (-1, samples))
    first, t, length = rows[:, 0], rows[..., 6], rows[:, :1, 7]
    start = first[:, :3] - first[:, 6:7] * first[:, 3:6]
    middles = (torch.arange(coarse, device=x.device, dtype=x.dtype) + 0.5) / coarse * length
    looked = _at(first, start, middles)
    with torch.no_grad():
        _, weights = composite(field(looked), looked, coarse, 0.0)
    wide = torch.nn.functional.max_pool1d(weights[:, None], 3, stride=1, padding=1)[:, 0]  # the neighbours too
    share = wide + 1e-5
    share = (1 - _FLOOR) * share / share.sum(dim=1, keepdim=True) + _FLOOR / coarse
    reached = torch.cat([torch.zeros_like(length), share.cumsum(dim=1)], dim=1)
    reached = reached / reached[:, -1:]
    u = (t / length.clamp(min=1e-12)).clamp(0, 1)
    part = (torch.searchsorted(reached, u.contiguous(), right=True) - 1).clamp(0, coarse - 1)
    low, high = reached.gather(1, part), reached.gather(1, part + 1)
    moved = (part + (u - low) / (high - low).clamp(min=1e-12)) / coarse * length
    return _at(first, start, moved)


def _at(first: Tensor, start: Tensor, t: Tensor) -> Tensor:
    """(n S, 10), points at distances t (n, S) from the starts (n, 3) of rays, each of which has a point `first`."""
    place = start[:, None] + t[..., None] * first[:, None, 3:6]
    rest = first[:, None].expand(-1, t.shape[1], -1)
    return torch.cat([place, rest[..., 3:6], t[..., None], rest[..., 7:]], dim=-1).flatten(0, 1)
