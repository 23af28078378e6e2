"""The zoom figure shows the place it was asked for, three ways, on the same points."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sinefield.errors import UserError
from sinefield.report.zoom import PANEL, busiest, place, zoom_figure


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def contains(figure: np.ndarray, panel: np.ndarray) -> bool:
    """Whether the figure shows the panel pixel by pixel somewhere, its outermost pixels left out: a frame is there."""
    inner = panel[4:-4, 4:-4]
    high, wide = inner.shape[:2]
    first = (figure[: len(figure) - high + 1, : figure.shape[1] - wide + 1] == inner[0, 0]).all(axis=-1)
    return any((figure[y : y + high, x : x + wide] == inner).all() for y, x in np.argwhere(first)[:5000])


@pytest.mark.parametrize(
    ("zoom", "crop"),
    [
        ([10, 20, 8], (6, 16, 14, 24)),
        ([10, 20, 9], (6, 16, 15, 25)),
        ([0, 0, 8], (0, 0, 8, 8)),
        ([63.4, 47, 8], (56, 40, 64, 48)),
        ([30, 20, 48], (6, 0, 54, 48)),
    ],
)
def test_the_place_is_whole_pixels_around_the_position_inside_the_picture(zoom, crop) -> None:
    assert place((48, 64), zoom) == crop


@pytest.mark.parametrize("zoom", [[64, 3, 8], [3, -1, 8], [3, 3, 49], [3, 3, 1], [3, 3, 4.5]])
def test_a_place_that_is_none_is_said_so(zoom) -> None:
    with pytest.raises(UserError, match="zoom"):
        place((48, 64), zoom)


def test_the_busiest_place_is_where_the_edges_are() -> None:
    pixels = np.zeros((96, 160, 3), dtype=np.uint8)
    pixels[40:56, 90:110] = noise(16, 20)
    left, top, right, bottom = busiest(pixels)
    assert right - left == bottom - top == 20
    assert abs((left + right) / 2 - 100) <= 4
    assert abs((top + bottom) / 2 - 48) <= 4
    left, top, right, bottom = busiest(noise(4, 300))  # lower than a usual square is wide
    assert 0 <= left < right <= 300
    assert 0 <= top < bottom <= 4


@pytest.mark.parametrize(("height", "width", "size"), [(24, 40, 12), (60, 9, 7), (5, 70, 5)])
def test_all_three_panels_are_in_the_figure_pixel_by_pixel(height, width, size) -> None:
    pixels = noise(height, width)
    crop = place((height, width), [width // 2, height // 2, size])
    scales = []

    def field(scale: int) -> np.ndarray:
        scales.append(scale)
        return noise(scale * size, scale * size)

    figure = zoom_figure(pixels, crop, field, "a caption with $ and _")
    assert figure.dtype == np.uint8
    assert figure.shape[2] == 3
    (s,) = scales
    assert s == PANEL // size
    samples = pixels[crop[1] : crop[3], crop[0] : crop[2]]
    assert contains(figure, np.kron(samples, np.ones((s, s, 1), dtype=np.uint8)))
    assert contains(figure, noise(s * size, s * size))
    whole = Image.fromarray(pixels).resize((s * width, s * height), Image.Resampling.BICUBIC)
    bicubic = np.asarray(whole)[s * crop[1] : s * crop[3], s * crop[0] : s * crop[2]]
    assert contains(figure, bicubic)
