"""A picture at another size in one call."""

import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import RectBivariateSpline

import sinefield
from sinefield.errors import UserError
from sinefield.render.upscale import along, upscale
from sinefield.scripts.upscale import main
from sinefield.signals import spline
from sinefield.signals.prior import Prior

PIXELS = np.random.default_rng(0).random((21, 16, 3))


def test_at_its_own_size_a_picture_stays():
    assert np.abs(upscale(PIXELS, 1) - PIXELS).max() < 1e-5
    assert sinefield.upscale is upscale


@pytest.mark.parametrize("scale", [2, 1.7, 3])
def test_pixels_are_areas(scale):
    """The centres of the large pixels, and there the spline and what the prior adds."""
    found = upscale(PIXELS, scale)
    height, width = (round(scale * n) for n in PIXELS.shape[:2])
    assert found.shape == (height, width, 3)
    assert found.dtype == np.float32
    down, across = ((np.arange(n) + 0.5) / scale - 0.5 for n in (height, width))
    added = Prior("natural").correction(2 * PIXELS - 1, down, across)[0]
    inside = np.s_[int(2 * scale) : -int(2 * scale)]
    for channel in range(3):
        plain = RectBivariateSpline(np.arange(21), np.arange(16), PIXELS[..., channel], kx=3, ky=3)  # not-a-knot too
        expected = (plain(down, across) + added[..., channel] / 2).clip(0, 1)[inside, inside]
        assert np.abs(found[inside, inside, channel] - expected).max() < 1e-6


def test_beyond_the_outermost_samples_the_spline_goes_on():
    ramp = np.arange(12.0)[None, :, None] * np.ones((9, 1, 1)) / 20
    c = spline.coefficients(ramp, 3)
    assert (
        np.abs(along(along(c, np.array([-0.4, 8.4]), 0), np.array([-0.4, 11.4]), 1)[..., 0] * 20 - [-0.4, 11.4]).max()
        < 1e-12
    )


def test_the_mean_over_the_turns_is_another_picture():
    assert 1e-4 < np.abs(upscale(PIXELS, 2, symmetric=True) - upscale(PIXELS, 2)).max() < 0.5


def test_the_command_writes_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray((255 * PIXELS).astype(np.uint8)).save("cat.png")
    main(["picture=cat.png", "scale=2"])
    assert capsys.readouterr().out == "cat_x2.png: 32 × 42 pixels\n"
    assert np.abs(np.asarray(Image.open("cat_x2.png")) - 255 * upscale("cat.png", 2)).max() <= 0.5 + 1e-3
    main(["picture=cat.png", "scale=2", "out=cat.npy", "prior=null"])
    assert np.array_equal(np.load("cat.npy"), upscale("cat.png", 2, prior=None))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scale=2"], "which picture"),
        (["picture=skimage:text", "scale=0"], "scale must be"),
        (["picture=skimage:text", "scale=1e-4"], "makes 0 × 0 pixels"),
        (["picture=skimage:text", "out=a.bmp"], "must end in"),
        (["picture=skimage:text", "prior=cat"], "no prior 'cat'"),
    ],
)
def test_mistakes_are_one_line(arguments, said):
    with pytest.raises(UserError, match=said):
        main(arguments)
