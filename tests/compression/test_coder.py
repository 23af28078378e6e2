"""The coder against the entropy of what it codes, and on bytes that are none of its own."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from discover import tried

from sinefield.compression.coder import SCALES, Decoder, Encoder, bits, scale_of
from sinefield.errors import UserError


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and the numbers of their scales, from a twentieth to eight."""
    generator = np.random.default_rng(seed)
    scales = generator.integers(32, 113, count)
    return np.rint(generator.laplace(size=count) * SCALES[scales]).clip(-100, 100).astype(int), scales


def test_comes_back_in_several_pieces() -> None:
    numbers, scales = drawn(3000)
    encoder = Encoder()
    for piece in (slice(0, 1000), slice(1000, 3000)):
        encoder.put(numbers[piece], scales[piece], 100)
    decoder = Decoder(encoder.content())
    found = [decoder.get(scales[piece], 100) for piece in (slice(0, 10), slice(10, 2999), slice(2999, 3000))]
    assert np.array_equal(np.concatenate(found), numbers)


def test_takes_what_the_entropy_says() -> None:
    """-log2 of Laplace's probabilities, by NumPy, within 0.5 %."""
    numbers, scales = drawn(50_000)

    def below(z: np.ndarray) -> np.ndarray:
        return np.where(z < 0, np.exp(np.minimum(z, 0)) / 2, 1 - np.exp(-np.maximum(z, 0)) / 2)

    b = SCALES[scales]
    size = abs(numbers)  # the lower tail, where differences are exact
    entropy = -np.log2(below((-size + 0.5) / b) - below((-size - 0.5) / b)).sum()
    encoder = Encoder()
    encoder.put(numbers, scales, 100)
    assert 8 * len(encoder.content()) == pytest.approx(entropy, rel=5e-3)
    said = bits(torch.from_numpy(numbers).double(), torch.from_numpy(np.log(b)))
    assert said.sum().item() == pytest.approx(entropy, rel=1e-9)


@pytest.mark.parametrize("b", [0.02, 0.3, 5.0, 200.0])
def test_probabilities_of_all_numbers_sum_to_one(b) -> None:
    numbers = torch.arange(-20_000, 20_001).double()
    assert 2 ** -bits(numbers, torch.tensor(b).double().log()) @ torch.ones_like(numbers) == pytest.approx(1, abs=1e-6)


def test_the_scale_chosen_takes_the_fewest_bits() -> None:
    numbers = drawn(2000)[0]
    taken = [bits(torch.from_numpy(numbers).double(), torch.tensor(np.log(s))).sum().item() for s in SCALES]
    assert scale_of(numbers) == int(np.argmin(taken))


def test_bytes_that_are_none_are_numbers_or_one_line() -> None:
    generator = np.random.default_rng(0)
    for count in (0, 4, 40, 400):
        found, said = tried(partial(Decoder(generator.bytes(count)).get, np.full(500, 90), 7))
        assert "\n" not in said
        assert found is None or abs(found).max() <= 7
    with pytest.raises(UserError, match="stream"):
        Decoder(b"abc")
    with pytest.raises(UserError, match="stream"):
        Decoder(b"").get(np.full(5, 90), 0)


def test_a_number_beyond_the_largest() -> None:
    with pytest.raises(UserError, match="larger steps"):
        Encoder().put(np.array([101]), np.array([90]), 100)
