"""Between the samples: filters fitted to the picture itself."""

import numpy as np
import pytest
import torch
from skimage import data

from sinefield.signals import spline
from sinefield.signals.image import Image
from sinefield.signals.selfsimilar import refined


def picture(name: str, side: int = 511) -> np.ndarray:
    """The top left corner of one of scikit-image's, (side, side, C) in [-1, 1]."""
    pixels = np.atleast_3d(getattr(data, name)())[:side, :side]
    return pixels / 127.5 - 1


def psnr_between(found: np.ndarray, truth: np.ndarray) -> float:
    off = np.ones(truth.shape[:2], dtype=bool)
    off[::2, ::2] = False
    return 10 * np.log10(4 / np.mean((found - truth)[off] ** 2))


def test_it_beats_the_spline_on_pixels_that_it_has_not_seen():
    """On pictures of many kinds, and is hardly worse on any."""
    gains = []
    for name in ("camera", "moon", "brick", "grass", "gravel", "astronaut"):
        truth = picture(name)
        samples = truth[::2, ::2]
        gains.append(psnr_between(refined(samples), truth) - psnr_between(spline.refined(samples), truth))
    assert np.mean(gains) > 0.15
    assert min(gains) > -0.1


def test_the_samples_stay():
    samples = picture("astronaut", 150)[:, :131]
    fine = refined(samples)
    assert fine.shape == (299, 261, 3)
    assert np.abs(fine[::2, ::2] - samples).max() < 1e-13


@pytest.mark.parametrize(
    "move", [lambda s: s[::-1], lambda s: s[:, ::-1], lambda s: s.transpose(1, 0, 2), lambda s: 0.3 * s - 0.2]
)
def test_a_moved_picture_is_refined_alike(move):
    """A mirror image, a turn, another brightness and contrast, with an odd number of samples, whose ends both stay."""
    samples = picture("camera", 129)
    assert np.abs(refined(move(samples)) - move(refined(samples))).max() < 1e-9


@pytest.mark.parametrize("samples", [picture("camera", 90), np.full((120, 120, 1), 0.3), np.zeros((120, 120, 3))])
def test_where_nothing_can_be_learned_it_is_the_spline(samples):
    assert np.abs(refined(samples) - spline.refined(samples)).max() < 1e-12


def test_a_signal_has_both(float64):
    """Its jet goes through the refined picture, and the plain spline is what it is compared with."""
    alike, plain = (Image("skimage:camera", size=128, self_similar=own) for own in (True, False))
    grid, x = alike.grid(), alike.uniform(100, torch.Generator().manual_seed(0))
    assert (alike.jet(grid, 0).value - plain.jet(grid, 0).value).abs().max() < 1e-12
    assert torch.equal(alike.interpolated(x), plain.jet(x, 0).value)
    fine = torch.from_numpy(refined(alike.fine[::2, ::2].numpy())).flatten(0, 1)
    assert (alike.jet(alike.grid(upsampling=2), 0).value - fine).abs().max() < 1e-12
    assert (alike.jet(x, 0).value - plain.jet(x, 0).value).abs().max() > 1e-3
