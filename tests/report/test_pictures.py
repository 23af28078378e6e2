"""A colour is a number: the maps at their ends and middle, one scale for signal and field, and the files on disk."""

import colorsys
import hashlib
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from sinefield.report import pictures
from sinefield.report.colours import (
    NOT_FINITE,
    error_picture,
    gradient_picture,
    laplacian_picture,
    value_picture,
)
from sinefield.report.pictures import View, write_pictures

NAMES = {
    "contact_sheet.png",
    "error.png",
    "gradient_field.png",
    "gradient_signal.png",
    "ground_truth.png",
    "laplacian_field.png",
    "laplacian_signal.png",
    "reconstruction.png",
}


def hill(height: int, width: int, channels: int = 1, scale: float = 1.0) -> View:
    """v = scale · exp(-2 r²) · (1, 1/2, 1/3)[:channels], with its exact gradient and Laplacian."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    square = x**2 + y**2
    value = (scale * np.exp(-2 * square))[..., None] / np.arange(1, channels + 1)
    gradient = -4 * value[..., None] * np.stack([x, y], axis=-1)[:, :, None]
    return View(value, gradient, value * (16 * square - 8)[..., None])


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def one(picture: np.ndarray) -> tuple[int, ...]:
    assert picture.shape == (1, 1, 3)
    assert picture.dtype == np.uint8
    return tuple(int(byte) for byte in picture[0, 0])


@pytest.mark.parametrize(("value", "byte"), [(-1, 0), (-1 / 3, 85), (0, 128), (1, 255), (-1.5, 0), (9, 255)])
def test_values_map_to_bytes_and_are_clipped(value: float, byte: int) -> None:
    assert one(value_picture(np.full((1, 1, 1), value))) == (byte,) * 3


def test_a_faint_picture_is_not_stretched_and_colour_keeps_its_channels() -> None:
    assert np.ptp(value_picture(np.array([[[0.0], [0.01]]]))) <= 2
    assert one(value_picture(np.array([[[-1.0, 0.0, 1.0]]]))) == (0, 128, 255)


@pytest.mark.parametrize(
    ("direction", "hue"),
    [((1, 0), 3), ((0, -1), 65), ((-1, 0), 185), ((0, 1), 256)],
    ids=["right", "up", "left", "down"],
)
def test_a_gradients_hue_is_its_direction_on_the_page(direction: tuple[int, int], hue: int) -> None:
    for length in (2.0, 5.0):  # above the limit the colour stays
        colour = one(gradient_picture(length * np.array([[[direction]]], dtype=float), limit=2.0))
        assert 360 * colorsys.rgb_to_hsv(*colour)[0] == pytest.approx(hue, abs=4)


def test_a_gradients_lightness_is_its_length_whatever_the_direction() -> None:
    def luminance(picture: np.ndarray) -> np.ndarray:
        byte = picture / 255
        linear = np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    angle = np.linspace(0, 2 * np.pi, 90)
    turn = np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None, :, None]
    ring = luminance(gradient_picture(turn, 1.0))
    assert np.ptp(ring) < 0.15 * ring.mean()  # Oklab's lightness is not luminance, but near; HSV's ptp is 1.9 means
    ramp = luminance(gradient_picture(np.linspace(0, 1, 20)[None, :, None, None] * [1.0, 0.0], 1.0))[0]
    assert (np.diff(ramp[1:]) > 0).all()
    assert one(gradient_picture(np.zeros((1, 1, 3, 2)), 1.0)) == (0, 0, 0)


def test_colour_gradients_and_laplacians_show_the_mean_channel() -> None:
    view = hill(5, 7, channels=3)
    grey = view.gradient.mean(axis=2, keepdims=True)
    np.testing.assert_array_equal(gradient_picture(view.gradient, 2.0), gradient_picture(grey, 2.0))
    mean = view.laplacian.mean(axis=2, keepdims=True)
    np.testing.assert_array_equal(laplacian_picture(view.laplacian, 2.0), laplacian_picture(mean, 2.0))


def test_the_laplacian_is_neutral_at_zero_blue_below_and_red_above() -> None:
    red, _, blue = one(laplacian_picture(np.zeros((1, 1, 1)), 3.0))
    assert abs(red - blue) <= 1
    assert red > 240
    ramp = np.linspace(0.2, 6, 30)[None, :, None]
    above, below = (laplacian_picture(sign * ramp, 3.0).astype(int) for sign in (1, -1))
    assert (above[..., 0] > above[..., 2]).all()
    assert (below[..., 0] < below[..., 2]).all()
    assert np.abs(above.mean(axis=-1) - below.mean(axis=-1)).max() < 45  # equally strong on both sides
    scale = 255 * np.array(matplotlib.colormaps["RdBu_r"](np.arange(256)))[:, :3]
    np.testing.assert_allclose(laplacian_picture(np.array([[[-9.0], [9.0]]]), 3.0)[0], scale[[0, -1]], atol=0.51)
    levels = (2 * np.arange(256) / 255 - 1)[None, :, None]
    np.testing.assert_allclose(laplacian_picture(levels, 1.0)[0], scale, atol=0.51)  # the mirror: -t is 255 - index


def test_the_error_starts_at_the_maps_first_colour_and_is_the_rms_of_the_channels() -> None:
    first, last = np.rint(255 * np.array(matplotlib.colormaps["inferno"]([0, 255]))[:, :3])
    assert one(error_picture(np.zeros((1, 1, 3)), 1.0)) == tuple(first)
    assert one(error_picture(np.full((1, 1, 3), -7.0), 1.0)) == tuple(last)
    three, rms = np.array([[[0.3, -0.4, 0.0]]]), np.array([[[np.sqrt(0.25 / 3)]]])
    assert one(error_picture(three, 1.0)) == one(error_picture(rms, 1.0))


def test_what_is_not_finite_is_drawn_in_a_colour_of_its_own(tmp_path: Path) -> None:
    signal, field = hill(6, 6, 3), hill(6, 6, 3)
    field.value[2, 3, 1] = np.nan
    field.gradient[2, 3, :2, 0] = np.inf, -np.inf
    field.laplacian[2, 3, 1] = -np.inf
    write_pictures(tmp_path, signal, field, "diverged")
    for name in ("reconstruction", "error", "gradient_field", "laplacian_field"):
        magenta = (read(tmp_path / f"{name}.png") == NOT_FINITE).all(axis=-1)
        assert np.argwhere(magenta).tolist() == [[2, 3]], name
    assert (read(tmp_path / "contact_sheet.png") == NOT_FINITE).all(axis=-1).sum() > 4 * 70**2
    with Image.open(tmp_path / "contact_sheet.png") as image:
        assert "not finite (1 pixels" in image.text["Description"]


def test_no_map_holds_the_colour_of_what_is_not_finite() -> None:
    angle, ramp = np.linspace(0, 2 * np.pi, 360)[:, None], np.linspace(0, 1, 50)
    wheel = np.stack([ramp * np.cos(angle), ramp * np.sin(angle)], axis=-1)[:, :, None]
    for picture in (
        gradient_picture(wheel, 1.0),
        laplacian_picture(2 * ramp[None, :, None] - 1, 1.0),
        error_picture(ramp[None, :, None], 1.0),
    ):
        assert np.abs(picture.astype(int) - NOT_FINITE).sum(axis=-1).min() > 100


@pytest.mark.parametrize("shape", [(20, 30, 3), (8, 32, 3), (32, 8, 1), (1, 1, 1)], ids=str)
def test_exactly_these_files_at_the_pictures_own_resolution(shape: tuple[int, int, int], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    paths = write_pictures(folder, hill(*shape), hill(*shape, scale=0.9), "a run " * 60)
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()} == NAMES
    for path in paths[:-1]:
        assert read(path).shape == (*shape[:2], 3), path.name
    assert paths[-1].name == "contact_sheet.png"
    height, width, _ = read(paths[-1]).shape
    assert 1200 < width < 3200
    assert 400 < height < 2600


def test_signal_and_field_share_their_limits(tmp_path: Path) -> None:
    signal, field = hill(16, 16), hill(16, 16, scale=0.5)
    write_pictures(tmp_path, signal, field, "half as high")
    slope = pictures._limit(np.linalg.norm(signal.gradient[:, :, 0], axis=-1), 98, 0.0)
    curvature = pictures._limit(np.abs(signal.laplacian), 98, 0.0)
    for name, view in (("signal", signal), ("field", field)):
        expected = gradient_picture(view.gradient, slope)
        np.testing.assert_array_equal(read(tmp_path / f"gradient_{name}.png"), expected)
        expected = laplacian_picture(view.laplacian, curvature)
        np.testing.assert_array_equal(read(tmp_path / f"laplacian_{name}.png"), expected)
        with Image.open(tmp_path / f"gradient_{name}.png") as image:
            assert f"0 to {slope:g} per unit of coordinate" in image.text["Description"]


def test_limits_are_round_and_just_above_the_percentile() -> None:
    for size in np.geomspace(1e-3, 1e5, 97):
        limit = pictures._limit(np.full(9, size), 98, 0.0)
        assert 0.998 * size <= limit <= 1.34 * size
        assert limit == float(f"{limit:.2g}")
    assert pictures._limit(np.array([np.nan, np.inf, 3.0]), 98, 0.0) == 3
    assert pictures._limit(np.full(4, np.nan), 98, 0.5) == 0.5
    assert pictures._limit(np.eye(1, 1000), 98, 0.0) == 1  # one bright pixel among zeros: the maximum


def test_a_constant_picture_is_flat_and_its_rounding_noise_stays_dark(tmp_path: Path) -> None:
    noise = 1e-7 * np.random.default_rng(0).standard_normal((9, 9, 1, 2))
    flat = View(np.full((9, 9, 1), 0.25), noise, noise[..., 0])
    write_pictures(tmp_path, flat, flat, "")
    assert np.ptp(read(tmp_path / "ground_truth.png")) == 0
    assert read(tmp_path / "gradient_signal.png").max() == 0
    assert read(tmp_path / "laplacian_signal.png").min() > 240
    assert np.ptp(read(tmp_path / "error.png"), axis=(0, 1)).max() == 0


def test_the_sheet_shows_every_sample_as_a_whole_sharp_square(tmp_path: Path) -> None:
    levels = np.array([[3, 60, 125], [190, 220, 250]])
    view = View(2 * levels[..., None] / 255 - 1, np.zeros((2, 3, 1, 2)), np.zeros((2, 3, 1)))
    write_pictures(tmp_path, view, view, "six greys")
    sheet = read(tmp_path / "contact_sheet.png")
    zoom = 480 // 3
    for level in levels.flat:
        assert (sheet == level).all(axis=-1).sum() >= 2 * (zoom - 3) ** 2  # in both rows, less the frame


def test_equal_input_gives_equal_bytes_and_no_global_state_changes(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    digests = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        paths = write_pictures(folder, hill(12, 12), hill(12, 12, scale=0.9), r"a $caption$ with \odd_{signs & 50 %")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert digests[0] == digests[1]
    assert dict(matplotlib.rcParams) == before


def test_the_pictures_keep_every_bit(tmp_path: Path) -> None:
    field = View(np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)), np.zeros((64, 64, 3, 2)), np.zeros((64, 64, 3)))
    write_pictures(tmp_path, hill(64, 64, 3), field, "noise")
    np.testing.assert_array_equal(read(tmp_path / "reconstruction.png"), value_picture(field.value))
