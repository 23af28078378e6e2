"""A start from which a few steps of gradient descent lead to any picture: model-agnostic meta-learning.

    theta_0 = theta      theta_{k+1} = theta_k - r_k * grad L_k(theta_k)      f(x; picture) = base(x; theta_K)

where ``L_k`` is the mean square of base - picture over channels and some of the pixels that are seen, drawn anew for
every step. The loss of a run is that of f, and its gradient goes through all K steps: it trains the start theta and the
rates r, one for every number in theta and every step k. Without derivatives of the inner gradients it is of first
order. Reptile has no gradient through the steps at all, ``theta <- theta + e mean(theta_K - theta)`` over pictures: it
follows the gradient of the half square distance of theta and theta_K, where theta_K is a constant.

Source: Finn et al., arXiv 1703.03400 (the inner loop); Li et al., arXiv 1707.09835 (rates for every number); Sitzmann
et al., MetaSDF, arXiv 2006.09662 (for every step too, of coordinate networks); Nichol et al., arXiv 1803.02999
(Reptile); Dupont et al., functa, arXiv 2201.12204 (`adapted` = "layers.*.bias").

With `adam` the inner steps are those of the fit that follows, r_k m_k / sqrt(v_k) instead of r_k grad L_k: Adam's, at
rates that fall to 0 along a line and with a first beta that falls from 0.9 to 0.6, as `scheduler=falling` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.func import grad

from sinefield.errors import integer, positive, require
from sinefield.fields.conditional import Conditional, Made, Observation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.optimizers.learned import direction

_GAIN = 10.0  # a rate is exp(10 p), p the parameter that is trained: what moves weights by 0.001 moves rates by 1 %
_VIEWS = 2**24  # seeds of views, of which each number of a picture has as many


class LearnedStart(Conditional):
    """A base network that takes some steps towards what is seen.

    Args:
        base: the coordinate network, whose own weights are the start theta.
        dims: D.
        steps: K, of the inner loop; a later step has the rates of the last one.
        points: pixels of an inner step while the field is trained, drawn by number and view of the picture; None for
            all that are seen, as in evaluation mode.
        rate: every r at the start.
        order: 2 for the whole gradient through the inner loop, 1 without second derivatives, 0 for Reptile.
        adapted: which parameters of the base take steps, a pattern of names: "*" for all, "layers.*.bias" for shifts.
        adam: whether the inner steps are Adam's; `rate` is then that of the first, and those of the others fall.

    Raises:
        UserError: a number out of its range, or a pattern that meets no parameter.
    """

    def __init__(
        self,
        base: CoordinateMLP,
        dims: int,
        steps: int = 3,
        points: int | None = 256,
        rate: float = 1e-2,
        order: int = 2,
        adapted: str = "*",
        adam: bool = False,
    ) -> None:
        super().__init__(base, dims)
        self.steps = integer("field.steps", steps, least=1)
        self.points = None if points is None else integer("field.points", points, least=1)
        self.order = integer("field.order", order, least=0, most=2)
        own = {name: parameter for name, parameter in base.named_parameters() if fnmatchcase(name, adapted)}
        names = ", ".join(name for name, _ in base.named_parameters())
        require(bool(own), f"field.adapted={adapted!r} is no pattern of any of the base's parameters: {names}")
        self.adapted = list(own)
        self.adam = adam
        along = torch.arange(self.steps) / self.steps if adam else torch.zeros(self.steps)
        start = (positive("field.rate", rate) * (1 - along)).log() / _GAIN
        each = [start.view(-1, *[1] * part.dim()).repeat(1, *part.shape) for part in own.values()]
        self.log_rates = nn.ParameterList(each)

    def rates(self) -> dict[str, Tensor]:
        """r by the names of the base's parameters, (K, ...) each; none with `adam`."""
        return {name: (_GAIN * part).exp() for name, part in zip(self.adapted, self.log_rates, strict=not self.adam)}

    def make(self, observation: Observation) -> Made:
        """The weights after the K steps."""
        return self.adapt(observation, self.steps)

    def adapt(self, observation: Observation, steps: int) -> Made:
        """The weights after some steps; for the weights' size stands |theta_k - theta|^2 / 2."""
        count, rates = len(observation.values), self.rates()
        rest = self.all_parameters(Made({}, observation.values), count)
        start = given = {name: rest[name] for name in self.adapted}
        seen = observation.seen.unsqueeze(-1)
        drawn = self._drawn(observation, steps) if self.training and self.points is not None else None
        moments = {name: (torch.zeros_like(part), torch.zeros_like(part)) for name, part in start.items() if self.adam}
        for k in range(steps):
            x, values, mask = observation.x.expand(count, -1, -1), observation.values, seen
            if drawn is not None:
                x = observation.x[drawn[k]]
                values, mask = (torch.take_along_dim(part, drawn[k].unsqueeze(-1), 1) for part in (values, mask))
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.order == 2):
                slopes = grad(self._error)(given, rest, x, values, mask)
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.order > 0):
                at = min(k, self.steps - 1)
                for name, before in moments.items():
                    slopes[name], moments[name] = direction(slopes[name], before, k, self.steps)
                given = {name: part - rates[name][at] * slopes[name] for name, part in given.items()}
        moved = torch.cat([(start[name] - part).flatten(1) for name, part in given.items()], dim=1)
        half = moved.square().sum(1) / 2
        return Made(given, torch.stack([torch.zeros_like(half), half], dim=1))

    def _error(
        self, given: Mapping[str, Tensor], rest: Mapping[str, Tensor], x: Tensor, values: Tensor, mask: Tensor
    ) -> Tensor:
        """The sum over P pictures of L, (), at x (P, n, D) where the values (P, n, C) are masked (P, n, 1)."""
        found = self.base.jet(x, 0, None, {**rest, **given}).value
        squares = ((found - values) * mask).square().sum((1, 2))
        return (squares / (mask.sum((1, 2)).clamp(min=1) * values.shape[-1])).sum()

    def _drawn(self, observation: Observation, steps: int) -> Tensor:
        """(steps, P, points) pixels that are seen, drawn by number and view; any of a picture of which none is."""
        drawn = []
        pictures = zip(observation.numbers.tolist(), observation.views.tolist(), observation.seen, strict=True)
        for number, view, seen in pictures:
            generator = torch.Generator().manual_seed((number + 1) * _VIEWS + view)
            among = seen.nonzero()[:, 0] if bool(seen.any()) else torch.arange(len(seen), device=seen.device)
            which = torch.randint(len(among), (steps, self.points or 1), generator=generator)
            drawn.append(among[which.to(among.device)])
        return torch.stack(drawn, dim=1)
