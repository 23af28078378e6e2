"""A network in few bits: whole numbers in the place of its weights, one step for each tensor, trained to be that.

    W = step q      loss = mse / mean mse + mu bits / pixels      bits of q: Laplace's, of the mean |W| / step

The rounding passes gradients straight through, to the weights and to the steps (LSQ). mu grows while the bits are
above the rate asked for, and falls while they are below. Waves in front that come from a seed cost its four bytes.
Sources: Esser et al., Learned Step Size Quantization, arXiv 1902.08153; Dupont et al., COIN, arXiv 2103.03123 (the
weights of a sine network as a picture's file, in 16 bits each); Oktay et al., arXiv 1906.06624 (entropy in the loss).
"""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinefield.activations.sine import Sine
from sinefield.compression.coder import DAMAGED, SCALES, Decoder, Encoder, bits, scale_of
from sinefield.encodings.identity import Identity
from sinefield.encodings.radial import Radial
from sinefield.errors import require
from sinefield.fields.mlp import CoordinateMLP

MOST = 2**24  # weights of a file
BATCH = 8192
# width, depth, w0 of the first layer and of the others; waves: count (0: none), highest, exponent, seed
_HEAD = "<HBffHddI"
_TENSOR = "<fBH"  # step, number of the scale, the largest |q|
_MU, _RANGE = 1.0, 12.0  # mu at the start; how far its logarithm can move in all steps


@dataclass
class Network:
    """What is in a file of this kind.

    Attributes:
        shape: (H, W) of the picture.
        channels: C.
        about: the numbers of the architecture, as `_HEAD` has them.
        steps, q: of each tensor, in the order of `named_parameters`.
    """

    shape: tuple[int, int]
    channels: int
    about: tuple[Any, ...]
    steps: list[float]
    q: list[np.ndarray]

    def field(self) -> CoordinateMLP:
        """The function, in evaluation mode."""
        field = _built(self.about, self.channels)
        with torch.no_grad():
            for parameter, step, q in zip(field.parameters(), self.steps, self.q, strict=True):
                parameter.copy_(torch.from_numpy(q.astype(np.float32) * np.float32(step)))
        return field.eval().requires_grad_(False)

    def content(self) -> bytes:
        """The body of the file."""
        head, encoder = struct.pack(_HEAD, *self.about), Encoder()
        for step, q in zip(self.steps, self.q, strict=True):
            scale, most = scale_of(q), max(1, int(abs(q).max()))
            head += struct.pack(_TENSOR, step, scale, most)
            encoder.put(q.ravel(), np.full(q.size, scale), most)
        return head + encoder.content()

    @classmethod
    def read(cls, content: bytes, shape: tuple[int, int], channels: int) -> "Network":
        """What `content` wrote; `UserError` where that is none."""
        start, each = struct.calcsize(_HEAD), struct.calcsize(_TENSOR)
        require(len(content) >= start, DAMAGED)
        about = struct.unpack_from(_HEAD, content)
        width, depth, *_ = about
        finite = all(math.isfinite(number) for number in about)
        require(width >= 1 and finite and (depth + 2) * width * max(width, 2 * about[4], 2) <= MOST, DAMAGED)
        shapes = [tuple(parameter.shape) for parameter in _built(about, channels).parameters()]
        require(len(content) >= start + each * len(shapes), DAMAGED)
        tensors = [struct.unpack_from(_TENSOR, content, start + each * i) for i in range(len(shapes))]
        require(all(math.isfinite(step) for step, _, _ in tensors), DAMAGED)
        decoder = Decoder(content[start + each * len(shapes) :])
        q = [
            decoder.get(np.full(math.prod(sides), scale), most).reshape(sides)
            for sides, (_, scale, most) in zip(shapes, tensors, strict=True)
        ]
        return cls(shape, channels, about, [step for step, _, _ in tensors], q)


def _built(about: tuple[Any, ...], channels: int) -> CoordinateMLP:
    width, depth, omega0, hidden, frequencies, highest, exponent, seed = about
    with torch.random.fork_rng(devices=[]):
        waves = Radial(2, frequencies, highest, exponent=exponent, seed=seed) if frequencies else Identity(2)
        return CoordinateMLP(2, channels, width, depth, activation=Sine(omega0, hidden), encoding=waves)


def described(field: Any, new: Any) -> tuple[Any, ...]:
    """The architecture of a field of two coordinates in numbers.

    Args:
        field: the trained one.
        new: the same as its run began with, which knows the seed of the waves.

    Raises:
        UserError: it is no network of sines behind radial waves or the coordinates, or its waves are other ones.
    """
    plain = (
        type(field) is CoordinateMLP and type(field.activation) is Sine and not field.stack and len(field.layers) > 0
    )
    known = plain and type(field.encoding) in (Radial, Identity)
    require(known, "a small file holds a network of activation=sine behind encoding=radial or encoding=none alone")
    activation, waves = field.activation, new.encoding
    require(len(set(activation.omegas)) == 1, "a small file holds one activation.omega0; fit with a single number")
    own = (0, 0.0, 0.0, 0)
    if isinstance(waves, Radial):
        same = torch.equal(waves.matrix, field.encoding.matrix)
        require(same, "the waves of this run are not those of its seed, such as after field.init=…; fit it anew")
        own = (len(waves.matrix), waves.highest, waves.exponent, waves.seed)
    return (field.head.in_features, len(field.layers) - 1, activation.omega0, activation.hidden_omega0, *own)


def compress(
    field: CoordinateMLP,
    about: tuple[Any, ...],
    x: Tensor,
    values: Tensor,
    shape: tuple[int, int],
    rate: float,
    steps: int = 1000,
    lr: float = 5e-4,
    seed: int = 0,
    said: Callable[[str], object] = lambda line: None,
) -> Network:
    """A trained network in about `rate` bits per pixel, trained on so that rounded weights lose little.

    Args:
        field: as its run left it; it stays so.
        about: see `described`.
        x: (N, 2), the samples.
        values: (N, C), the picture there.
        shape: (H, W).
        rate: bits per pixel, at most; a network that needs fewer takes fewer.
        steps: of Adam, on `BATCH` samples each.
        lr: its rate for the weights, which falls to 0.
        seed: of the samples of each step.
        said: is told of progress.
    """
    count, weights = len(x), {name: part.detach().clone() for name, part in field.named_parameters()}
    head = 8 * (15 + struct.calcsize(_HEAD) + struct.calcsize(_TENSOR) * len(weights))
    many = sum(part.numel() for part in weights.values())
    each = max(1.0, (rate * count - head) / many)
    said(f"{many:,} weights, {(rate * count - head) / many:.1f} bits for each; a network needs some 5")
    with torch.no_grad():  # Laplace's entropy is log2(2 e b / step) bits
        logs = {n: (2 * math.e * w.abs().mean().clamp(min=1e-6) * 2**-each).log() for n, w in weights.items()}
    for part in (*weights.values(), *logs.values()):
        part.requires_grad_()
    groups = [{"params": list(weights.values()), "lr": lr}, {"params": list(logs.values()), "lr": 20 * lr}]
    optimizer, generator, mu, usual = torch.optim.Adam(groups, betas=(0.9, 0.99)), torch.Generator(), _MU, 0.0
    highest = [group["lr"] for group in optimizer.param_groups]
    for number in range(steps):
        for group, most in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = most * (0.505 + 0.495 * math.cos(math.pi * number / steps))
        index = torch.randint(count, (min(BATCH, count),), generator=generator.manual_seed(seed * 2**32 + number))
        rounded, taken = _rounded(weights, logs)
        error = (field.jet(x[index], 0, parameters=rounded).value - values[index]).square().mean()
        usual = error.item() if number == 0 else usual + 0.05 * (error.item() - usual)
        loss = error / max(usual, 1e-12) + mu * taken / count
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        excess = (taken.item() + head) / (rate * count) - 1
        mu *= math.exp(_RANGE / steps * max(-1.0, min(1.0, 10 * excess)))
        if number % max(1, steps // 5) == 0 or number == steps - 1:
            said(f"step {number + 1} of {steps}: mse {usual:.3e}, {(taken.item() + head) / count:.4f} bits per pixel")
    with torch.no_grad():
        found = [float(np.float32(part.exp().item())) for part in logs.values()]
        q = [(w / step).round().numpy().astype(np.int32) for w, step in zip(weights.values(), found, strict=True)]
    return Network(shape, values.shape[1], about, found, q)


def _rounded(weights: Mapping[str, Tensor], logs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """The weights rounded to their steps, and the bits of all, () ."""
    found, total = {}, torch.zeros(())
    for name, weight in weights.items():
        step = logs[name].exp()
        scaled = weight / step
        q = scaled + (scaled.round() - scaled).detach()
        mean = q.abs().mean().clamp(min=float(SCALES[0]))
        total = total + bits(q, mean.log()).sum()
        found[name] = q * step
    return found, total
