"""Whole numbers in about as many bits as their probabilities say: a range coder, Laplace's distribution and its bits.

    P(q) = F(q + 1/2) - F(q - 1/2),  F the distribution function of Laplace's, of mean 0 and scale b
    bits(q) = -log2 P(q)

Range coding: Martin, Range encoding (1979), by `constriction` (Bamler, arXiv 2201.01741).
"""

import math

import constriction
import numpy as np
import torch
from torch import Tensor

from sinefield.errors import UserError, require

DAMAGED = "its stream of numbers is none; get the file again"
SCALES = np.exp((np.arange(256) - 80) / 16)  # b by its number, 0.0067 to 56,000: a sixteenth of e apart
_MOST = 2**15 - 1  # of a number's size; a model gives 2^-24 at least to each number it knows, which must remain little


class Encoder:
    """Numbers to bytes, one array behind the other."""

    def __init__(self) -> None:
        self._stream = constriction.stream.queue.RangeEncoder()

    def put(self, numbers: np.ndarray, scales: np.ndarray, most: int) -> None:
        """Add numbers (N,) of -most to most, whose scales are `SCALES[scales]`, (N,)."""
        require(0 < most <= _MOST and bool((abs(numbers) <= most).all()), f"numbers beyond {most}: take larger steps")
        self._stream.encode(numbers.astype(np.int32), _model(most), np.zeros(len(numbers)), SCALES[scales])

    def content(self) -> bytes:
        """What `Decoder` takes."""
        words: np.ndarray = self._stream.get_compressed()
        return words.astype("<u4").tobytes()


class Decoder:
    """Bytes to numbers, in the order in which they were put in."""

    def __init__(self, content: bytes) -> None:
        require(len(content) % 4 == 0, DAMAGED)
        self._stream = constriction.stream.queue.RangeDecoder(np.frombuffer(content, "<u4").astype(np.uint32))

    def get(self, scales: np.ndarray, most: int) -> np.ndarray:
        """The next numbers (N,) of -most to most, by the numbers of their scales (N,).

        Raises:
            UserError: the bytes are none that `Encoder` writes.
        """
        require(0 < most <= _MOST, DAMAGED)
        try:
            found: np.ndarray = self._stream.decode(_model(most), np.zeros(len(scales)), SCALES[scales])
        except AssertionError as error:  # how constriction says that no numbers have such bytes
            raise UserError(DAMAGED) from error
        return found


def _model(most: int) -> object:
    return constriction.stream.model.QuantizedLaplace(-most, most)


def scale_of(numbers: np.ndarray) -> int:
    """The number of the scale in `SCALES` with which the numbers take the fewest bits."""
    counts, which = np.unique(abs(numbers), return_counts=True)
    sizes = torch.from_numpy(counts.astype(float))[:, None]
    total = torch.from_numpy(which.astype(float)) @ bits(sizes, torch.from_numpy(np.log(SCALES)))
    return int(total.argmin())


def bits(numbers: Tensor, log_scales: Tensor) -> Tensor:
    """-log2 P(q) of numbers q and logarithms of b, which broadcast; between whole numbers a function to descend on."""
    size = numbers.abs()
    b = log_scales.clamp(-5, 11).exp()
    least = torch.finfo(b.dtype).tiny
    none = -torch.log2(-torch.expm1(-0.5 / b))
    some = 1 + (size - 0.5).clamp(min=0) / b / math.log(2) - torch.log2((-torch.expm1(-1 / b)).clamp(min=least))
    return torch.where(size < 0.5, none, some)
