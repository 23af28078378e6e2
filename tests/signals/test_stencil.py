"""Derivatives by differences, against their transfer functions on plane waves, and the papers' own operators."""

import numpy as np
import pytest
import torch
from discover import distance
from PIL import Image as Picture
from scipy import ndimage

from sinefield.errors import UserError
from sinefield.signals.image import Image
from sinefield.signals.stencil import Stencil

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def wave(tmp_path):
    """Writes cos(2 pi j / period) along x or y as a 16-bit picture of 65 x 65 samples; gives its path."""

    def save(period: float, axis: int) -> str:
        values = np.cos(2 * np.pi * np.indices((65, 65))[axis] / period)
        path = tmp_path / f"{period}-{axis}.png"
        Picture.fromarray(np.round(65535 * (values + 1) / 2).astype(np.uint16)).save(path)
        return str(path)

    return save


@pytest.mark.parametrize("across", [[1, 2, 1], [3, 10, 3], [0, 1, 0]])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("period", [4.0, 8.0])
def test_plane_waves_are_damped_as_the_transfer_function_says(wave, across, axis, period):
    """By sin(kh)/(kh) along the wave, where the rows across are all alike, and by (sin(kh/2)/(kh/2))^2 for lap."""
    signal = Stencil(wave(period, axis), size=None, holdout=False, across=across)
    h = signal.spacing
    kh = 2 * np.pi / period
    inner = (signal.grid().abs() < 0.9).all(1)
    jet = signal.samples(order=2)
    phase = kh * signal.pixels(signal.grid())[:, 1 - axis]
    expected = -torch.sin(phase) * np.sin(kh) / h
    assert distance(jet.gradient[inner, 0, 1 - axis], expected[inner]) < 1e-3  # the picture has 16 bits
    assert jet.gradient[inner, 0, axis].abs().max() < 1e-3 / h
    assert distance(jet.laplacian[inner, 0], -torch.cos(phase)[inner] * 4 * np.sin(kh / 2) ** 2 / h**2) < 1e-3


def test_is_what_scipy_calls_sobel_and_laplace(tmp_path):
    """Inside the picture, times the factors that the official code leaves out: 1/(8h) and 1/h^2."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    Picture.fromarray(noise).save(tmp_path / "noise.png")
    signal = Stencil(tmp_path / "noise.png", size=None, holdout=False)
    values, h = 2 * (noise / 255.0) - 1, signal.spacing
    jet = signal.samples(order=2)
    inner = (slice(1, -1), slice(1, -1))
    found = jet.gradient.reshape(20, 30, 2)
    for axis in (0, 1):
        expected = torch.from_numpy(ndimage.sobel(values, axis=1 - axis) / (8 * h))
        assert distance(found[..., axis][inner], expected[inner]) < 1e-12
    expected = torch.from_numpy(ndimage.laplace(values) / h**2)
    assert distance(jet.laplacian.reshape(20, 30)[inner], expected[inner]) < 1e-12


def test_approaches_the_spline_to_second_order(wave):
    """Half the distance between the samples, a quarter of the error: of the gradient and of the Laplacian."""

    def errors(period: float) -> list[float]:
        path = wave(period, 1)
        pair = [kind(path, size=None, holdout=False).samples(order=2) for kind in (Stencil, Image)]
        inner = slice(65 * 32 + 16, 65 * 32 + 48)
        return [
            distance(*(part[inner] for part in parts))
            for parts in list(zip(*(jet.parts for jet in pair), strict=True))[1:]
        ]

    for coarse, fine in zip(errors(8), errors(16), strict=True):
        assert 3.4 < coarse / fine < 4.6


@pytest.mark.parametrize("across", [[1, 2], [1, -2, 1], "sobel", [0, 0, 0], [1, True, 1]])
def test_weights_that_are_no_operator(wave, across):
    """One line, with an example."""
    with pytest.raises(UserError, match=r"signal\.across must be three numbers .*\[1,2,1\]"):
        Stencil(wave(8, 0), across=across)
