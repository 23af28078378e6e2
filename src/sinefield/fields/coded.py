"""Fields of many pictures by a code: an encoder reads it from what is seen, and a network makes weights of it.

z = encoder(what is seen)      theta = start + made(z)      f(x; picture) = base(x; theta)

A picture of which some pixels are seen is completed by a code, a better code, and a field of the picture's own:

    z_0 = encoder(seen)
    z   = argmin  sum_seen |f(x_i; z) - v_i|^2 / s^2  +  sum_k (z_k - z_0k)^2 / d_k^2
    f   = base(theta),   theta from theta(z) by some steps on the seen pixels alone

d is the spread of the codes of the training pictures, and s what the field may be off. The fewer pixels are seen, the
more the code stays what the encoder says. Tuning theta as well is for many pixels: a code cannot have all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor

from sinefield.errors import require
from sinefield.fields.conditional import Conditional, Made, Observation
from sinefield.fields.encoders.base import Encoder
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.stack import stack_fields

_STEPS, _RATE = 150, 0.1  # of Adam, on a code in units of its spread; measured in docs/priors.md
_OFF = 0.2  # s: the error of a channel's value in [-1, 1] that a code leaves
_TUNED, _TUNING = 300, 1.0e-3  # of Adam, on all weights


class Coded(Conditional):
    """A base network, whose own weights are the start, with weights made of a code.

    Attributes:
        code: K, numbers of a code.
    """

    code: int

    @abstractmethod
    def encode(self, observation: Observation) -> Tensor:
        """(P, K), the codes of P pictures."""

    @abstractmethod
    def weights(self, code: Tensor) -> dict[str, Tensor]:
        """What is added to the start, by the names of the base's parameters, (P, ...) each, of codes (P, K)."""

    def parameters_of(self, code: Tensor) -> dict[str, Tensor]:
        """Parameters of the base by their names, (P, ...) each, made of codes (P, K)."""
        own = dict(self.base.named_parameters())
        return {name: own[name] + change for name, change in self.weights(code).items()}

    def make(self, observation: Observation) -> Made:
        """Encode, and make weights of the codes."""
        return self.made(self.encode(observation))

    def made(self, code: Tensor) -> Made:
        """What is made of codes (P, K): weights, and the mean squares of code and weights."""
        given = self.parameters_of(code)
        flat = torch.cat([tensor.flatten(1) for tensor in given.values()], dim=1)
        return Made(given, torch.stack([code.square().mean(1), flat.square().mean(1)], dim=1))

    @torch.no_grad()
    def codes(self, observations: Iterable[Observation]) -> Tensor:
        """(P, K), of all that is observed."""
        return torch.cat([self.encode(observation) for observation in observations])

    def values(self, code: Tensor, x: Tensor) -> Tensor:
        """(P, N, C), the values of P pictures by their codes (P, K) at the points x (N, D) that they share."""
        parameters = self.all_parameters(self.made(code), len(code))
        return self.base.jet(x.expand(len(code), *x.shape), 0, None, parameters).value

    def fields(self, code: Tensor) -> CoordinateMLP:
        """The networks of codes (P, K) as a stack of plain fields."""
        return stack_fields(self.networks(self.made(code), len(code)))

    def refine(
        self, observation: Observation, spread: Tensor, steps: int = _STEPS, rate: float = _RATE, off: float = _OFF
    ) -> Tensor:
        """Codes (P, K) that make the seen pixels what they are, not far from what the encoder says.

        Args:
            observation: of P pictures.
            spread: d, (K,), the standard deviations of the codes of many pictures.
            steps, rate: of Adam, with a rate that falls to 0.
            off: s.
        """
        with torch.no_grad():
            start = self.encode(observation)
        spread = spread.clamp(min=1e-6)
        picture, point = observation.seen.nonzero(as_tuple=True)
        x, known = observation.x[point], observation.values[picture, point]

        def energy(move: Tensor) -> Tensor:
            error = self.jet_of(self.made(start + spread * move), x, picture, len(start), 0).value - known
            return error.square().sum() / (2 * off**2) + move.square().sum() / 2

        with torch.enable_grad():
            (move,) = descend([torch.zeros_like(start)], lambda parts: energy(parts[0]), steps, rate)
        return start + spread * move

    def tune(self, code: Tensor, observation: Observation, steps: int = _TUNED, rate: float = _TUNING) -> CoordinateMLP:
        """A stack of P fields of their own, from those of codes (P, K), tuned to the pixels that are seen of each.

        Args:
            steps, rate: of Adam, with a rate that falls to 0.
        """
        stack = self.fields(code)
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


class Encoded(Coded):
    """A field whose code an encoder reads.

    Args:
        base: the coordinate network, whose own weights are the start.
        dims: D.
        encoder: reads the code.
    """

    def __init__(self, base: CoordinateMLP, dims: int, encoder: Encoder) -> None:
        super().__init__(base, dims)
        cure = "with a _target_, such as those in conf/encoder"
        require(isinstance(encoder, Encoder), f"field.encoder must be an Encoder {cure}, not {encoder!r}")
        self.encoder, self.code = encoder, encoder.code

    def encode(self, observation: Observation) -> Tensor:
        """(P, K), as the encoder has them."""
        return cast("Tensor", self.encoder(observation))


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
