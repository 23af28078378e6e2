"""How likely each amplitude of `LocalWaves` is, from those already known: a small network, in whole numbers.

The amplitudes of a channel are taken by diagonals k + l = 0, 1, .. of the frequencies and, of each, at first those of
the blocks that are black on a chessboard, then those of the white ones. What is known around an amplitude, in sizes |q|

    lower frequencies of its block and of the eight around, its diagonal's four neighbours where it is white, the two
    diagonals before, earlier channels, the frequency itself

becomes features round(16 log(1 + 3 |q|)), and the network's answer is the number of a scale in `coder.SCALES`. Its
weights are whole 32nds, and every step is one of whole numbers that float32 holds exactly, so that whoever reads a
file finds the scales that its writer had, on any machine. It is trained for its one picture and travels in the file.
Sources: Balle et al., arXiv 1802.01436 (scales as side information); Ladune et al., COOL-CHIC, arXiv 2212.05458.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sinefield.compression.coder import SCALES, bits

UNIT, PER_WEIGHT = 16, 32  # a feature of 16 and a weight of 32 stand for 1
WIDTH, FEATURES = 16, 20
SHAPES = ((WIDTH, FEATURES), (WIDTH,), (WIDTH, WIDTH), (WIDTH,), (1, WIDTH), (1,))
MOST = 127  # of a weight's size
_SIZES = 4096
_TABLE = np.rint(UNIT * np.log1p(3.0 * np.arange(_SIZES))).astype(np.float32)
_START = -2.0  # log b
_OFFSET = int((np.log(SCALES[0]) - _START) * -UNIT + 0.5)  # of the scale for an answer of 0

Weights = list[np.ndarray]  # whole numbers, as `SHAPES` says


class Amplitudes:
    """Whole amplitudes q, (C, M, M, rows, columns), with a border of zeros; known in part, or in full.

    Args:
        shape: C, M, rows and columns of blocks.
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        channels, size, rows, columns = self.shape = shape
        self.q = np.zeros((channels, size + 2, size + 2, rows + 2, columns + 2), np.int32)
        self.white = (np.add.outer(np.arange(rows), np.arange(columns)) % 2).astype(bool)

    @property
    def inside(self) -> np.ndarray:
        """q itself, a view."""
        return self.q[:, 2:, 2:, 1:-1, 1:-1]

    def groups(self, last: list[int]) -> Iterator[tuple[int, int, bool]]:
        """(channel, diagonal, white) in the order of the file, up to the diagonal `last` of each channel; -1: none."""
        for channel, diagonals in enumerate(last):
            for diagonal in range(diagonals + 1):
                yield from ((channel, diagonal, False), (channel, diagonal, True))

    def places(self, channel: int, diagonal: int, white: bool) -> tuple[np.ndarray, ...]:
        """Where the numbers of a group stand in `inside`."""
        k = np.arange(max(0, diagonal - self.shape[1] + 1), min(diagonal, self.shape[1] - 1) + 1)
        rows, columns = np.nonzero(self.white == white)
        each, place = np.repeat(k, len(rows)), (np.tile(rows, len(k)), np.tile(columns, len(k)))
        return np.full(len(each), channel), each, diagonal - each, *place

    def features(self, channel: int, diagonal: int, white: bool) -> np.ndarray:
        """(FEATURES, N) float32 of whole numbers, for the numbers of a group in the order of `places`."""
        size = self.shape[1]
        k = np.arange(max(0, diagonal - size + 1), min(diagonal, size - 1) + 1)
        here = self.white == white

        def at(of: int, down: int, across: int) -> np.ndarray:
            return np.abs(self.q[of, k + 2 - down, diagonal - k + 2 - across])  # (n, rows + 2, columns + 2)

        up, left, corner = at(channel, 1, 0), at(channel, 0, 1), at(channel, 1, 1)
        before = up.sum(0, keepdims=True) + left[:1] + corner.sum(0, keepdims=True)
        before = np.broadcast_to(before, up.shape)
        none = np.zeros_like(up)
        first, second = (at(of, 0, 0) if channel > of else none for of in (0, 1))
        own = at(channel, 0, 0) if white else none
        sizes = [_inner(part) for part in (up, left, corner, at(channel, 2, 0) + at(channel, 0, 2), before)]
        sizes += [_eight(part) for part in (up, left, corner, before, first, second)]
        sizes += [_four(own), _inner(first), _inner(second)]
        found = [_TABLE[np.minimum(part, _SIZES - 1)][:, here].ravel() for part in sizes]
        count = int(here.sum())
        constant = [UNIT * white, *(UNIT * (channel == of) for of in (1, 2)), np.rint(2 * UNIT * diagonal / size)]
        found += [np.full(len(k) * count, value, np.float32) for value in constant]
        found += [np.repeat(np.rint(2 * UNIT * part / size).astype(np.float32), count) for part in (k, diagonal - k)]
        return np.stack(found)


def _inner(part: np.ndarray) -> np.ndarray:
    return part[:, 1:-1, 1:-1]


def _four(part: np.ndarray) -> np.ndarray:
    return part[:, :-2, 1:-1] + part[:, 2:, 1:-1] + part[:, 1:-1, :-2] + part[:, 1:-1, 2:]


def _eight(part: np.ndarray) -> np.ndarray:
    return _four(part) + part[:, :-2, :-2] + part[:, :-2, 2:] + part[:, 2:, :-2] + part[:, 2:, 2:]


def scales(weights: Weights, features: np.ndarray) -> np.ndarray:
    """(N,), the numbers of the scales in `SCALES`, from features (FEATURES, N)."""
    h = features
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        h = weight.astype(np.float32) @ h + (UNIT * bias.astype(np.float32))[:, None]
        h = np.floor(h / PER_WEIGHT)  # a power of 2: exact
        if len(weight) > 1:
            h = h.clip(0, 1023)  # 16 x 127 x 1023 < 2^24
    return np.clip(h[0] + _OFFSET, 0, len(SCALES) - 1).astype(np.int64)


def start(seed: int = 0) -> list[Tensor]:
    """Weights to train, of the size of `SHAPES`, in float."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for shape in SHAPES:
        bound = 1 / math.sqrt(shape[-1]) if len(shape) == 2 else 0.0
        found.append((2 * torch.rand(shape, generator=generator) - 1) * bound)
    return [part.requires_grad_() for part in found]


def train(weights: list[Tensor], features: np.ndarray, numbers: np.ndarray, steps: int, seed: int, lr: float) -> None:
    """Adjust the weights so that they and numbers (N,) with these features (FEATURES, N) take few bits together.

    Most numbers stand where all around them is 0: a step takes 2,048 of those at most, and 8,192 of the others. The
    bits of the weights count as they do in the file, which keeps most of them at 0 for a small picture.
    """
    generator = torch.Generator().manual_seed(seed)
    busy = torch.from_numpy((features[:14] > 0).any(0) | (numbers != 0))
    groups = [(which.nonzero()[:, 0], most) for which, most in ((busy, 8192), (~busy, 2048)) if which.any()]
    optimizer = torch.optim.Adam(weights, lr=lr, betas=(0.9, 0.98))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (0.51 + 0.49 * math.cos(math.pi * step / steps))
        total = torch.zeros(())
        for which, most in groups:
            index = which[torch.randint(len(which), (min(most, len(which)),), generator=generator)]
            some = index.numpy()
            log_b = _forward(weights, torch.from_numpy(features[:, some]))
            taken = bits(torch.from_numpy(numbers[some]).float(), log_b)
            total = total + taken.mean() * (len(which) / len(numbers))
        optimizer.zero_grad()
        (10 * (total + cost([PER_WEIGHT * w for w in weights]) / len(numbers))).backward()
        optimizer.step()


def cost(weights: list[Tensor]) -> Tensor:
    """The bits of the weights themselves, in whole numbers or on the way there, ()."""
    return torch.stack([bits(w, w.abs().mean().clamp(min=0.05).log()).sum() for w in weights]).sum()


def _forward(weights: list[Tensor], features: Tensor) -> Tensor:
    """log b (N,) as `scales` finds it, but for its rounding down; through the weights' rounding gradients pass."""
    h = features / UNIT
    rounded = [
        w + (torch.from_numpy(q) / PER_WEIGHT - w).detach() for w, q in zip(weights, whole(weights), strict=True)
    ]
    for weight, bias in zip(rounded[::2], rounded[1::2], strict=True):
        h = weight @ h + bias[:, None]
        h = h.relu() if len(weight) > 1 else h
    return h[0] + _START


def whole(weights: list[Tensor]) -> Weights:
    """The weights as whole numbers of `PER_WEIGHT`ths."""
    return [(PER_WEIGHT * w.detach()).round().clamp(-MOST, MOST).numpy().astype(np.float32) for w in weights]
