"""A picture in few bits as `LocalWaves`: whole amplitudes, chosen by what each costs and by what it is good for.

    a = step (q + shift),  shift by the size of q, towards what such amplitudes were on average;  f(x) = m + U W a

U has the principal axes of the picture's colours. As the waves are orthonormal at the samples, an amplitude's error
counts alone, and each q is what makes ``(z - q)^2 + lambda bits(q)`` least, z = a / step, among the two whole numbers
around z and 0, with the bits that the context model gives. Model, choice and step are found in turns: the step is
moved until the file has the size asked for. Source of the choice: rate-distortion optimised quantisation, Sullivan &
Wiegand, Rate-distortion optimization for video compression, IEEE Signal Processing Magazine 15(6) (1998).
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sinefield.compression import context
from sinefield.compression.coder import DAMAGED, SCALES, Decoder, Encoder, bits, scale_of
from sinefield.errors import integer, positive, require
from sinefield.fields.local_waves import LocalWaves, basis

LAMBDA = 0.1  # squared steps per bit
ROUNDS = 6
_HEADS = 480.0  # bits of all that is neither a weight nor an amplitude, nearly
_HEAD = "<BfH3b"  # M, step, the largest |q|, shifts in 128ths of a step of |q| = 1, 2 and more
_FIRST, _LATER, _RATE = 150, 50, 0.02  # steps of the context model's training in the first round and in later ones
MOST = 2**26  # amplitudes


@dataclass
class Waves:
    """What is in a file of this kind.

    Attributes:
        shape: (H, W).
        step: of the amplitudes.
        shifts: three whole numbers.
        q: (C, M, M, rows, columns), whole amplitudes by channel, frequency along y and x, block.
        weights: the context model's.
        colour: (C, C + 1) float16, U and m.
    """

    shape: tuple[int, int]
    step: float
    shifts: tuple[int, ...]
    q: np.ndarray
    weights: context.Weights
    colour: np.ndarray

    def field(self) -> LocalWaves:
        """The function, in evaluation mode."""
        field = LocalWaves(self.shape, len(self.q), self.q.shape[1])
        amplitudes = _shifted(self.q, np.array(self.shifts) / 128) * np.float32(self.step)
        colour = torch.from_numpy(self.colour.astype(np.float32))
        with torch.no_grad():
            field.amplitudes.copy_(torch.from_numpy(amplitudes).permute(3, 4, 1, 2, 0))
            field.colour.weight.copy_(colour[:, :-1])
            field.colour.bias.copy_(colour[:, -1])
        return field.eval().requires_grad_(False)

    def content(self) -> bytes:
        """The body of the file."""
        most, last = max(1, int(abs(self.q).max())), _last(self.q)
        head = struct.pack(_HEAD, self.q.shape[1], self.step, most, *self.shifts)
        head += self.colour.astype("<f2").tobytes() + struct.pack(f"<{len(last)}B", *last)
        own = [scale_of(w) for w in self.weights]
        encoder, known = Encoder(), context.Amplitudes((len(self.q), self.q.shape[1], *self.q.shape[3:]))
        for weight, scale in zip(self.weights, own, strict=True):
            encoder.put(weight.ravel(), np.full(weight.size, scale), context.MOST)
        known.inside[...] = self.q
        for group in known.groups([diagonals - 1 for diagonals in last]):
            scales = context.scales(self.weights, known.features(*group))
            encoder.put(known.inside[known.places(*group)], scales, most)
        return head + bytes(own) + encoder.content()

    @classmethod
    def read(cls, content: bytes, shape: tuple[int, int], channels: int) -> "Waves":
        """What `content` wrote; `UserError` where that is none."""
        start = struct.calcsize(_HEAD)
        colours, tensors = 2 * channels * (channels + 1), len(context.SHAPES)
        require(len(content) >= start + colours + channels + tensors, DAMAGED)
        size, step, most, *shifts = struct.unpack_from(_HEAD, content)
        colour = np.frombuffer(content, "<f2", channels * (channels + 1), start).reshape(channels, channels + 1)
        last = list(content[start + colours : start + colours + channels])
        own = content[start + colours + channels :][:tensors]
        sound = size >= 2 and math.isfinite(step) and bool(np.isfinite(colour).all()) and max(last) <= 2 * size - 1
        require(sound, DAMAGED)
        blocks = [-(-n // size) for n in shape]
        require(math.prod(blocks) * size**2 * channels <= MOST, DAMAGED)
        decoder = Decoder(content[start + colours + channels + tensors :])
        weights = [
            decoder.get(np.full(math.prod(sides), scale), context.MOST).reshape(sides).astype(np.float32)
            for sides, scale in zip(context.SHAPES, own, strict=True)
        ]
        known = context.Amplitudes((channels, size, *blocks))
        for group in known.groups([diagonals - 1 for diagonals in last]):
            scales = context.scales(weights, known.features(*group))
            known.inside[known.places(*group)] = decoder.get(scales, most)
        return cls(shape, step, tuple(shifts), known.inside.copy(), weights, colour.copy())


def _last(q: np.ndarray) -> list[int]:
    """How many diagonals of each channel's frequencies there are up to the last with a number other than 0."""
    diagonal = np.add.outer(np.arange(q.shape[1]), np.arange(q.shape[1])) + 1
    return [int((diagonal * (channel != 0).any((2, 3))).max()) for channel in q]


def _shifted(q: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    return (q + np.sign(q) * np.array([0, *shifts])[np.minimum(abs(q), 3)]).astype(np.float32)


def analyse(pixels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The amplitudes (C, M, M, rows, columns) of samples (H, W, C), and their colours (C, C + 1) in float16."""
    height, width, channels = pixels.shape
    mean = pixels.mean((0, 1))
    axes = np.linalg.svd((pixels - mean).reshape(-1, channels), full_matrices=False)[2]
    colour = np.concatenate([axes.T, mean[:, None]], axis=1).astype(np.float16)
    own = (pixels - colour[:, -1].astype(float)) @ np.linalg.inv(colour[:, :-1].astype(float)).T
    ends = [(0, -n % size) for n in (height, width)]
    down, across = basis(height, size).numpy(), basis(width, size).numpy()
    found = np.tensordot(down.T, np.pad(own, [*ends, (0, 0)], mode="symmetric"), 1)
    found = np.moveaxis(np.tensordot(across.T, found, axes=(1, 1)), 0, 1)
    blocks = found.reshape(len(down) // size, size, len(across) // size, size, channels)
    return np.ascontiguousarray(blocks.transpose(4, 1, 3, 0, 2)), colour


def compress(
    pixels: np.ndarray,
    rate: float,
    size: int = 32,
    seed: int = 0,
    rounds: int = ROUNDS,
    said: Callable[[str], object] = lambda line: None,
) -> Waves:
    """Samples (H, W, C) in [-1, 1] as waves whose file has about `rate` bits per sample position.

    Args:
        pixels: the picture.
        rate: bits per pixel.
        size: M, samples along a side of a block, 4 to 128.
        seed: of the context model.
        rounds: of model, choice and step.
        said: is told of each round.
    """
    rate, size = positive("rate", rate), integer("block", size, least=4, most=128)
    amplitudes, colour = analyse(pixels.astype(float), size)
    channels, count = len(amplitudes), math.prod(pixels.shape[:2])
    step, weights = _first_step(amplitudes, rate * count), context.start(seed)
    known = context.Amplitudes((channels, size, *amplitudes.shape[3:]))
    log_b = np.full(amplitudes.shape, -1.0, np.float32)
    for number in range(rounds):
        z = (amplitudes / step).astype(np.float32)
        q = _chosen(z, log_b)
        known.inside[...] = q
        groups = list(known.groups([max(0, part - 1) for part in _last(q)]))
        places, features = [known.places(*group) for group in groups], [known.features(*group) for group in groups]
        numbers = np.concatenate([q[place] for place in places])
        context.train(weights, np.concatenate(features, 1), numbers, _LATER if number else _FIRST, seed + number, _RATE)
        whole = context.whole(weights)
        total = _HEADS + float(context.cost([torch.from_numpy(w) for w in whole]))
        log_b[...] = np.log(SCALES[0])  # beyond the last diagonal nothing is to come back
        for place, own in zip(places, features, strict=True):
            log_b[place] = np.log(SCALES)[context.scales(whole, own)]
            total += float(bits(torch.from_numpy(q[place]).float(), torch.from_numpy(log_b[place])).sum())
        said(f"round {number + 1} of {rounds}: step {step:.4f}, {total / count:.4f} bits per pixel")
        if number < rounds - 1:
            step *= (total / (rate * count)) ** (0.9 if number else 0.5)
    shifts = [_shift(z, q, size) for size in (1, 2, 3)]
    return Waves(pixels.shape[:2], step, tuple(shifts), q, whole, colour)


def _first_step(amplitudes: np.ndarray, total: float) -> float:
    """The step at which a fifth as many amplitudes are beyond 0.6 of it as there are bits."""
    sizes = np.sort(abs(amplitudes), axis=None)
    return max(1e-6, 1.6 * float(sizes[-max(1, min(len(sizes), int(total / 5)))]))


def _chosen(z: np.ndarray, log_b: np.ndarray) -> np.ndarray:
    """q for z and the logarithms of the scales of each, like both."""
    size, scales = torch.from_numpy(abs(z)), torch.from_numpy(log_b)
    best, least = torch.zeros_like(size), size.square() + LAMBDA * bits(torch.zeros_like(size), scales)
    for candidate in (size.floor(), size.ceil()):
        cost = (size - candidate).square() + LAMBDA * bits(candidate, scales)
        best, least = torch.where(cost < least, candidate, best), torch.minimum(cost, least)
    return (best.numpy() * np.sign(z)).astype(np.int32)


def _shift(z: np.ndarray, q: np.ndarray, size: int) -> int:
    """Of the numbers of a size, or of 3 and more, the mean of |z| - |q| in 128ths."""
    which = abs(q) == size if size < 3 else abs(q) >= size
    return int(np.clip(np.rint(128 * (abs(z) - abs(q))[which].mean()), -127, 127)) if which.any() else 0
