"""A picture in a file that is never read as a whole: the same jets as one in memory, and what cannot be mapped."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from discover import distance
from PIL import Image as Picture

from sinefield.errors import UserError
from sinefield.runs.configuration import normalise_config
from sinefield.signals.image import Image
from sinefield.signals.large import Large

pytestmark = pytest.mark.usefixtures("float64")

LAYOUTS = {
    "tiles": {"tile": (16, 32)},
    "tiles of a BigTIFF, high byte first": {"tile": (32, 16), "bigtiff": True, "byteorder": ">"},
    "strips": {"rowsperstrip": 5},
    "one strip": {},
}


@pytest.fixture
def saved(tmp_path):
    """Writes noise (H, W) or (H, W, 3) into a TIFF and a PNG; gives their paths."""

    def save(*shape: int, dtype: type = np.uint8, **layout) -> tuple[Path, Path]:
        noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
        tif, png = tmp_path / "a.tif", tmp_path / "a.png"
        tifffile.imwrite(tif, noise, photometric="rgb" if len(shape) > 2 else "minisblack", **layout)
        if dtype is np.uint8:
            Picture.fromarray(noise).save(png)
        return tif, png

    return save


def somewhere(signal) -> torch.Tensor:
    """Points anywhere in the box, in its corners and at some samples."""
    x = signal.uniform(200, torch.Generator().manual_seed(0))
    return torch.cat([x, -signal.extent[None], signal.extent[None], signal.grid()[::7]])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("holdout", [True, False])
@pytest.mark.parametrize("shape", [(97, 71), (54, 90, 3)])
def test_its_jets_are_those_of_the_picture_in_memory(saved, shape, holdout, layout) -> None:
    """Up to the rest of the spline beyond its reach, 0.27^20 of the contrast, per spacing^2."""
    tif, png = saved(*shape, **LAYOUTS[layout])
    small, large = Image(png, size=None, holdout=holdout), Large(tif, holdout, reach=20)
    assert large.shape == small.shape
    x = somewhere(small)
    for found, expected in zip(large.jet(x, 2), small.jet(x, 2), strict=True):
        assert distance(found, expected) < 1e-9
    if holdout:
        assert distance(large.held_out_grid(), small.held_out_grid()) < 1e-15


def test_sixteen_bits_are_read_in_full(saved) -> None:
    """Against Pillow."""
    tif, _ = saved(50, 60, dtype=np.uint16)
    with Picture.open(tif) as picture:
        expected = 2 * np.asarray(picture).astype(float) / 65535 - 1
    found = Large(tif, holdout=False).samples().value
    assert np.abs(found.numpy().reshape(expected.shape) - expected).max() < 1e-6


def test_the_error_falls_with_the_reach_as_splines_do(saved) -> None:
    """By sqrt(3) - 2 per sample; the value as well as the Laplacian."""
    tif, png = saved(97, 71)
    small = Image(png, size=None, holdout=False)
    x = somewhere(small)
    expected = small.jet(x, 2)
    jets = [Large(tif, holdout=False, reach=reach).jet(x, 2) for reach in (4, 8)]
    for part in ("value", "gradient", "laplacian"):
        coarse, near = (distance(getattr(jet, part), getattr(expected, part)) for jet in jets)
        assert coarse / near == pytest.approx((2 + 3**0.5) ** 4, rel=0.3)


def test_single_precision_at_a_reach_of_twelve(saved) -> None:
    """Value, gradient and Laplacian to some 1e-6, and a value at a sample is the pixel whatever the reach."""
    tif, png = saved(300, 400)
    small = Image(png, size=None, holdout=False)
    x = somewhere(small)
    large = Large(tif, holdout=False, reach=12)
    for found, expected in zip(large.jet(x, 2), small.jet(x, 2), strict=True):
        assert distance(found, expected) < 3e-6
    pixels = torch.from_numpy(tifffile.imread(tif)).float().reshape(-1, 1)
    assert torch.equal(large.float().jet(large.grid(), 0).value, pixels * (2 / 255) - 1)


@pytest.mark.parametrize("holdout", [True, False])
def test_the_overview_is_every_nth_point(saved, holdout) -> None:
    """Of the picture in memory, at both finenesses, n odd; its power is the mean square over them."""
    tif, png = saved(100, 71, 3)
    small, large = Image(png, size=None, holdout=holdout), Large(tif, holdout, scored=500)
    n, upsampling = large.every, 2 if holdout else 1
    assert n % 2 == 1
    assert n > 1
    grid = small.grid(upsampling=upsampling).reshape(*small.fine_shape(upsampling), 2)
    seen = large.evaluation_grid(upsampling)
    assert 250 < len(seen.flatten(0, 1)) <= 500
    assert torch.equal(seen, grid[::n, ::n][: len(seen), : seen.shape[1]])
    assert torch.equal(large.evaluation_grid(), seen[::upsampling, ::upsampling])
    samples = small.samples().value.reshape(*small.shape, -1)[::n, ::n]
    assert distance(large.samples().value, samples.flatten(0, 1)) < 1e-12
    assert large.mean_squares(0).value.item() == pytest.approx(samples.square().sum(2).mean().item())
    if holdout:
        assert distance(large.held_out_grid(), small.held_out_grid()[::n, ::n][: len(seen), : seen.shape[1]]) < 1e-15


@pytest.mark.slow
def test_memory_does_not_grow_with_the_picture(tmp_path) -> None:
    """A file of 0.9 GB with next to nothing in it, in a process of its own: under 400 MB beyond the imports."""
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, shape=(30_000, 30_000), dtype=np.uint8, tile=(512, 512), photometric="minisblack")
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    code = """
import sys, torch
from sinefield.training.data import SignalData
from sinefield.training.environment import resident
from sinefield.losses.base import Loss
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.signals.large import Large
before = resident()
signal = Large(sys.argv[1], holdout=False)
for loss in (Loss({"v": Value()}), Loss({"v": Value(), "l": Laplacian()})):
    signal.mean_squares(loss.order)
    SignalData(signal, loss).batch(3)
assert signal.jet(signal.extent[None], 0).value.item() == -1  # padding beyond the picture is not read
print((resident("VmHWM") - before) / 2**20)
"""
    found = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    assert float(found.stdout) < 400


class TestRefusals:
    """One line that says what to do."""

    def test_no_path(self, compose):
        with pytest.raises(UserError, match=r"signal\.path has no default; add signal\.path="):
            normalise_config(compose("signal=large"))

    @pytest.mark.parametrize(
        ("layout", "reason"),
        [
            ({"compression": "zlib"}, "is compressed"),
            ({"extratags": [("Orientation", "H", 1, 6, True)]}, "lies on its side"),
            ({"dtype": np.uint32}, "is not of 8 or 16 bits"),
        ],
    )
    def test_a_tiff_that_would_have_to_be_decoded(self, saved, layout, reason):
        with pytest.raises(UserError, match=rf"{reason}.*vips tiffsave") as caught:
            Large(saved(20, 30, **layout)[0])
        assert "\n" not in str(caught.value)

    def test_white_is_zero(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20), np.uint8), photometric="miniswhite")
        with pytest.raises(UserError, match="neither grey, 0 for black, nor RGB"):
            Large(tmp_path / "a.tif")

    def test_planes(self, tmp_path):
        tifffile.imwrite(
            tmp_path / "a.tif", np.zeros((3, 20, 20), np.uint8), photometric="rgb", planarconfig="separate"
        )
        with pytest.raises(UserError, match="separate planes"):
            Large(tmp_path / "a.tif")

    def test_another_format(self):
        with pytest.raises(UserError, match=r"no TIFF .*vips tiffsave"):
            Large("skimage:camera")

    def test_a_file_cut_short(self, saved, tmp_path):
        whole = saved(40, 40, tile=(16, 16))[0].read_bytes()
        (tmp_path / "b.tif").write_bytes(whole[:-9])
        with pytest.raises(UserError, match="cut short"):
            Large(tmp_path / "b.tif")

    def test_every_beginning_of_a_file(self, saved, tmp_path):
        """What is not whole is refused in one line."""
        whole = saved(40, 40, tile=(16, 16))[0].read_bytes()
        for length in range(1, 300, 7):
            (tmp_path / "b.tif").write_bytes(whole[:length])
            with pytest.raises(UserError):
                Large(tmp_path / "b.tif")

    def test_too_narrow(self, saved):
        with pytest.raises(UserError, match="100 x 3 samples"):
            Large(saved(6, 200)[0])


@pytest.mark.parametrize("shape", [(40, 36), (40, 36, 3)])
def test_white_is_that_of_the_picture_in_memory(saved, shape, caplog) -> None:
    tif, _ = saved(*shape, dtype=np.uint16)
    dim = tifffile.imread(tif) // 16  # 12 bits in 16
    tifffile.imwrite(tif, dim, photometric="rgb" if len(shape) > 2 else "minisblack")
    Large(tif)
    assert "signal.white=4095" in caplog.text
    caplog.clear()
    large, small = Large(tif, reach=20, white=4095), Image(tif, size=None, white=4095)
    assert caplog.text == ""
    x = somewhere(small)
    for found, expected in zip(large.jet(x, 1), small.jet(x, 1), strict=True):
        assert distance(found, expected) < 1e-9
    assert distance(large.held_out_grid(), small.held_out_grid()) < 1e-9
    with pytest.raises(UserError, match=r"rescale them to 0 \(black\) to 1000 \(white\), or give signal.white=4095"):
        Large(tif, white=1000)


def test_white_of_eight_bits_is_not_used(saved, caplog) -> None:
    tif, _ = saved(40, 36)
    assert distance(Large(tif, white=100).held_out_grid(), Large(tif).held_out_grid()) == 0
    assert "signal.white has no effect" in caplog.text
