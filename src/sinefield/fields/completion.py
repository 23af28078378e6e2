"""Completing pictures of which some pixels are seen: a code, a better code, and a field of the picture's own.

    z_0 = encoder(seen)
    z   = argmin  sum_seen |f(x_i; z) - v_i|^2 / s^2  +  sum_k (z_k - z_0k)^2 / d_k^2
    f   = base(theta),   theta from theta(z) by some steps on the seen pixels alone

d is the spread of the codes of the training pictures, and s what the field may be off. The fewer pixels are seen, the
more the code stays what the encoder says. Tuning theta as well is for many pixels: a code cannot have all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy

import torch
from torch import Tensor

from sinefield.fields.coded import Coded
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.stack import stack_fields
from sinefield.fields.subspace import Subspace

_STEPS, _RATE = 150, 0.1  # of Adam, on a code in units of its spread; measured in docs/priors.md
_OFF = 0.2  # s: the error of a channel's value in [-1, 1] that a code leaves
_TUNED, _TUNING = 300, 1.0e-3  # of Adam, on all weights


@torch.no_grad()
def codes(field: Coded, observations: Iterable[Observation]) -> Tensor:
    """(P, K), what the encoder reads of all of them."""
    return torch.cat([field.encode(observation) for observation in observations])


def values(field: Coded, code: Tensor, x: Tensor) -> Tensor:
    """(P, N, C), the values of P pictures by their codes (P, K) at the points x (N, D) that they share."""
    return field.base.jet(
        x.expand(len(code), *x.shape), 0, None, field.all_parameters(field.made(code), len(code))
    ).value


def refine(
    field: Coded,
    observation: Observation,
    spread: Tensor,
    steps: int = _STEPS,
    rate: float = _RATE,
    off: float = _OFF,
) -> Tensor:
    """Codes (P, K) that make the seen pixels what they are, not far from what the encoder says.

    Args:
        field: whose weights stay as they are.
        observation: of P pictures.
        spread: d, (K,), the standard deviations of the codes of many pictures.
        steps, rate: of Adam, with a rate that falls to 0.
        off: s.
    """
    with torch.no_grad():
        start = field.encode(observation)
    if isinstance(field, Subspace):
        return start
    spread = spread.clamp(min=1e-6)
    picture, point = observation.seen.nonzero(as_tuple=True)
    x, known = observation.x[point], observation.values[picture, point]

    def energy(move: Tensor) -> Tensor:
        error = field.jet_of(field.made(start + spread * move), x, picture, len(start), 0).value - known
        return error.square().sum() / (2 * off**2) + move.square().sum() / 2

    with torch.enable_grad():
        (move,) = descend([torch.zeros_like(start)], lambda parts: energy(parts[0]), steps, rate)
    return start + spread * move


def tune(
    field: Coded, code: Tensor, observation: Observation, steps: int = _TUNED, rate: float = _TUNING
) -> CoordinateMLP:
    """P fields of their own as a stack, from those of their codes (P, K), tuned to the pixels that are seen of each."""
    stack = alone(field, code)
    if isinstance(field, Subspace):
        return field.meet(stack, observation)
    names = [name for name, _ in stack.named_parameters()]
    counts = observation.seen.sum(1, keepdim=True)
    first = observation.seen.int().argsort(1, descending=True)[:, : int(counts.max())]  # those seen come first
    share = (observation.seen.gather(1, first) / counts.clamp(min=1)).unsqueeze(-1)
    x, known = observation.x[first], observation.values.take_along_dim(first.unsqueeze(-1), 1)

    def energy(parts: list[Tensor]) -> Tensor:
        found = stack.jet(x, 0, None, dict(zip(names, parts, strict=True))).value
        return ((found - known).square() * share).sum()

    with torch.enable_grad():
        tuned = descend([parameter.detach() for parameter in stack.parameters()], energy, steps, rate)
    stack.load_state_dict({**stack.state_dict(), **dict(zip(names, tuned, strict=True))})
    return stack


def alone(field: Coded, code: Tensor) -> CoordinateMLP:
    """The networks of codes (P, K) as a stack of plain fields."""
    with torch.no_grad():
        given = field.all_parameters(field.made(code), len(code))
    fields = []
    for k in range(len(code)):
        one = deepcopy(field.base)
        one.load_state_dict({name: given[name][k] for name in one.state_dict()})
        fields.append(one)
    return stack_fields(fields)


def descend(parts: list[Tensor], energy: Callable[[list[Tensor]], Tensor], steps: int, rate: float) -> list[Tensor]:
    """The tensors after steps of Adam against their energy, at a rate that falls to 0 along half a cosine."""
    leaves = [part.clone().requires_grad_() for part in parts]
    adam = torch.optim.Adam(leaves, lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        gradients = torch.autograd.grad(energy(leaves), leaves)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        adam.step()
        schedule.step()
    return [leaf.detach() for leaf in leaves]
