"""Frames halfway between others, of films whose motion is known."""

import numpy as np
import pytest
import torch

from sinefield.signals.motion import halfway
from sinefield.signals.video import Video


def pattern(shift: float) -> np.ndarray:
    """(48, 64, 2), waves moved to the right by so many pixels."""
    rows, columns = np.indices((48, 64))
    x = columns - shift
    one = np.sin(0.5 * x + 0.2 * rows) + 0.5 * np.sin(0.23 * x - 0.4 * rows)
    return np.stack([one, 0.5 * one - 0.2], axis=-1)


def error(guess: np.ndarray, truth: np.ndarray) -> float:
    inside = (slice(8, -8), slice(8, -8))
    return float(np.sqrt(np.square(guess[inside] - truth[inside]).mean()))


def test_what_moves_is_halfway() -> None:
    """Three pixels per frame: the guess has half of the blend's error, as its share in it is a half."""
    found = halfway([pattern(3.0 * k) for k in range(3)])
    for k, guess in enumerate(found):
        truth, blend = pattern(3.0 * k + 1.5), (pattern(3.0 * k) + pattern(3.0 * k + 3)) / 2
        assert error(guess, truth) == pytest.approx(error(blend, truth) / 2, rel=0.1)


def test_what_rests_stays() -> None:
    assert halfway([pattern(0.0)] * 2)[0] == pytest.approx(pattern(0.0), abs=1e-6)


def test_small_frames_are_blended() -> None:
    a, b = np.random.default_rng(0).random((2, 9, 20, 3))
    assert halfway([a, b])[0] == pytest.approx((a + b) / 2)


def test_a_film_answers_between_its_frames() -> None:
    """At its pixels and halfway in time, by frames trained on alone; nearer to the truth than the blend."""
    film = Video(size=24, seconds=0.5)
    count, height, width = film.shape
    numbers = torch.cartesian_prod(torch.arange(width), torch.arange(height), torch.arange(count - 1)).double()
    numbers[:, 2] += 0.5
    x = film.coordinates(numbers.to(film.extent))
    guess = film.halfway(x)
    before, behind = (
        film.jet(film.coordinates((numbers + d).to(x)), 0).value
        for d in (torch.tensor([0, 0, -0.5]), torch.tensor([0, 0, 0.5]))
    )
    truth = film.jet(x, 0).value
    assert (guess - truth).square().mean() < ((before + behind) / 2 - truth).square().mean()
