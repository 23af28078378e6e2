"""A picture as a signal: orientation, units, and which of its pixels are trained on, held out or never made up."""

import numpy as np
import pytest
import torch
from discover import distance
from PIL import Image as Picture

from sinefield.errors import UserError
from sinefield.signals.image import Image

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def saved(tmp_path):
    """Writes values (H, W) or (H, W, 3) in [-1, 1] into a file, in 16 bits where grey; gives its path."""

    def save(values: np.ndarray) -> str:
        path = tmp_path / f"{'x'.join(map(str, values.shape))}.png"
        peak, kind = (65535, np.uint16) if values.ndim == 2 else (255, np.uint8)
        Picture.fromarray(np.round((values + 1) / 2 * peak).astype(kind)).save(path)
        return str(path)

    return save


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape)


def pixels(path: str) -> np.ndarray:
    """(H, W, C) in [-1, 1], read by Pillow alone."""
    raw = np.asarray(Picture.open(path))
    peak = 65535 if raw.ndim == 2 else 255
    return raw.reshape(*raw.shape[:2], -1) / peak * 2 - 1


class TestUnits:
    """Derivatives are per unit of coordinate: x right, y down, the longest side 2 long, both axes alike."""

    @pytest.mark.parametrize(("height", "width"), [(21, 31), (31, 21)])
    def test_a_horizontal_ramp_rises_with_x(self, saved, height, width):
        """From -1 at the left to 1 at the right edge: gradient (2/length, 0), no Laplacian, value linear in x."""
        ramp = np.tile(np.linspace(-1, 1, width), (height, 1))
        signal = Image(saved(ramp), size=None, holdout=False)
        slope = 1 / signal.extent[0].item()
        jet = signal.samples(order=2)
        assert torch.allclose(jet.value[:, 0], slope * signal.grid()[:, 0], atol=1e-4)
        assert torch.allclose(jet.gradient[:, 0], torch.tensor([slope, 0.0]).expand(len(signal), 2), atol=2e-3)

    @pytest.mark.parametrize(("height", "width"), [(21, 31), (31, 21)])
    def test_a_vertical_ramp_rises_with_y(self, saved, height, width):
        """From black at the top to white at the bottom: gradient (0, 2/length), since y points down."""
        ramp = np.tile(np.linspace(-1, 1, height)[:, None], (1, width))
        signal = Image(saved(ramp), size=None, holdout=False)
        slope = 1 / signal.extent[1].item()
        jet = signal.samples(order=1)
        assert torch.allclose(jet.gradient[:, 0], torch.tensor([0.0, slope]).expand(len(signal), 2), atol=2e-3)

    @pytest.mark.parametrize("holdout", [False, True])
    @pytest.mark.parametrize(("height", "width"), [(41, 61), (61, 41)])
    def test_a_known_function(self, saved, height, width, holdout):
        """sin(2 x + 1) cos(3 y) drawn in 16 bits has its derivatives at any point of the box, in their units.

        Rounding moves values by 1e-5, a derivative by some times 1e-5/h, a second one by some times 1e-5/h^2: 2 % of
        the Laplacian at h = 1/30. The spline's own errors are smaller at degree 5. Norm-wise relative.
        """
        h = 2 / (max(height, width) - 1)
        y, x = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * h for n in (height, width)), indexing="ij")
        signal = Image(saved(np.sin(2 * x + 1) * np.cos(3 * y)), size=None, holdout=holdout, degree=5)
        points = signal.uniform(500, torch.Generator().manual_seed(0))
        x, y = points.split(1, dim=1)
        value = (2 * x + 1).sin() * (3 * y).cos()
        slopes = torch.stack([2 * (2 * x + 1).cos() * (3 * y).cos(), -3 * (2 * x + 1).sin() * (3 * y).sin()], dim=2)
        jet = signal.jet(points, order=2)
        assert distance(jet.value, value) < 1e-4
        assert distance(jet.gradient, slopes) < 1e-3
        assert distance(jet.laplacian, -13 * value) < 0.02

    def test_a_picture_of_one_grey_is_flat(self, saved):
        """No value but its own, no derivatives."""
        signal = Image(saved(np.zeros((8, 8))), size=None, holdout=False)
        jet = signal.jet(signal.uniform(20, torch.Generator().manual_seed(0)), order=2)
        assert torch.allclose(jet.value, torch.full((20, 1), 1 / 65535), atol=1e-12)  # round(0.5 * 65535)
        assert jet.gradient.abs().max() < 1e-10
        assert jet.laplacian.abs().max() < 1e-9


class TestSamples:
    @pytest.mark.parametrize("shape", [(12, 18), (18, 12), (13, 13), (12, 18, 3)])
    def test_all_pixels_without_holdout(self, saved, shape):
        """The samples are the pixels, channel by channel, rows first; nothing is known between them."""
        path = saved(noise(*shape))
        signal = Image(path, size=None, holdout=False)
        expected = pixels(path)
        assert signal.shape == shape[:2]
        assert signal.channels == (shape[2] if len(shape) == 3 else 1)
        assert np.abs(signal.samples().value.numpy() - expected.reshape(-1, signal.channels)).max() < 1e-12
        assert signal.held_out_grid() is None

    @pytest.mark.parametrize("shape", [(12, 18), (13, 19), (12, 19, 3), (13, 18)])
    def test_every_second_pixel_with_holdout(self, saved, shape):
        """Pixels 0, 2, 4 ... are trained on, those between known; the last of an even side is left out."""
        path = saved(noise(*shape))
        signal = Image(path, size=None, holdout=True)
        height, width = (n - 1 + n % 2 for n in shape[:2])
        expected = pixels(path)[:height, :width]
        assert signal.held_out_grid().shape == expected.shape
        assert np.abs(signal.held_out_grid().numpy() - expected).max() < 1e-15
        assert np.abs(signal.samples().value.numpy() - expected[::2, ::2].reshape(len(signal), -1)).max() < 1e-12

    def test_a_picture_of_512_pixels(self):
        """size=256 trains on 256 x 256 of the file's own pixels and knows 511 x 511."""
        signal = Image("skimage:camera", size=256)
        assert signal.shape == (256, 256)
        assert signal.held_out_grid().shape == (511, 511, 1)

    @pytest.mark.parametrize(
        ("shape", "size", "samples", "known"),
        [
            ((64, 64), 32, (32, 32), (63, 63)),
            ((64, 64), 33, (33, 33), None),  # 65 pixels would be needed
            ((65, 65), 33, (33, 33), (65, 65)),
            ((64, 96), 24, (16, 24), (31, 47)),
            ((96, 64), 24, (24, 16), (47, 31)),
            ((64, 64), 40, (40, 40), None),
            ((64, 64), 64, (64, 64), None),
            ((64, 64), 200, (64, 64), None),  # pixels are never made up
            ((64, 48), None, (32, 24), (63, 47)),
            ((40, 60, 3), 20, (14, 20), (27, 39)),  # reduced to 40 pixels, 2/3 of which is 27
        ],
    )
    def test_size_is_the_samples_along_the_longest_side(self, saved, shape, size, samples, known):
        """The other side follows the picture's proportions; with enough pixels those between are known."""
        signal = Image(saved(noise(*shape)), size=size)
        assert signal.shape == samples
        fine = signal.held_out_grid()
        assert (None if fine is None else tuple(fine.shape[:2])) == known

    def test_too_few_pixels_for_a_holdout_are_mentioned(self, saved, caplog):
        """The run goes on without held-out pixels, and says so."""
        Image(saved(noise(20, 20)), size=15)
        assert "hold some out" in caplog.text
        caplog.clear()
        Image(saved(noise(20, 20)), size=10)
        Image(saved(noise(20, 20)), size=15, holdout=False)
        assert caplog.text == ""

    def test_reducing_a_picture_keeps_its_shape(self, saved):
        """A smooth picture reduced threefold is the same function of the coordinates, to 0.05 of its range of 2.

        The frame moves by a third of a pixel on each side: pixel centres span [-1, 1] at every size.
        """
        y, x = np.meshgrid(np.linspace(-1, 1, 90), np.linspace(-1, 1, 90), indexing="ij")
        path = saved(np.sin(2 * x) * np.cos(y))
        signal = Image(path, size=30, holdout=False)
        px, py = signal.grid().unbind(1)
        assert (signal.samples().value[:, 0] - (2 * px).sin() * py.cos()).abs().max() < 0.05


class TestRefusals:
    @pytest.mark.parametrize("degree", [1, 2, 4, 0, -3, 3.0, "3", True])
    def test_degree(self, saved, degree):
        with pytest.raises(UserError, match=r"signal\.degree must be"):
            Image(saved(noise(16, 16)), degree=degree)

    @pytest.mark.parametrize("size", [0, -4, 3, 16.0, "16"])
    def test_size(self, saved, size):
        with pytest.raises(UserError, match=r"signal\.size must be a whole number of at least 4"):
            Image(saved(noise(32, 32)), size=size)

    @pytest.mark.parametrize(
        ("shape", "size", "degree"), [((6, 100), None, 3), ((100, 20), 16, 3), ((12, 12), None, 7)]
    )
    def test_a_picture_too_narrow_for_its_spline(self, saved, shape, size, degree):
        """The message gives the samples as width x height and what would do."""
        with pytest.raises(UserError, match=r"has \d+ x \d+ samples; a spline of degree \d needs \d along each side"):
            Image(saved(noise(*shape)), size=size, degree=degree)


class TestEffort:
    """How many steps a run takes follows the picture."""

    def test_by_detail(self, saved):
        """A smooth picture takes the fewest, noise the most; contrast counts, since errors are in grey values."""
        y, x = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 64), indexing="ij")
        smooth, busy, faint = (Image(saved(v), 64).effort for v in (x - y, noise(64, 64), 0.2 * noise(63, 63)))
        assert smooth == 0.75
        assert busy == 2.0
        assert smooth < faint < busy

    def test_by_colour_and_size(self, saved):
        """Colour takes 1.2 times as many; twice the samples of 256 x 256 take twice as many, fewer no fewer."""
        assert Image(saved(noise(64, 64, 3)), 64).effort == pytest.approx(2.4)
        assert Image(saved(noise(256, 512)), None, holdout=False).effort == pytest.approx(4.0)


def test_a_run_takes_the_steps_of_its_picture(saved, fit):
    """And its schedule ends with them; with a number it takes that many. A resumed run knows its number."""
    from conftest import SMALL

    settings = [text for text in SMALL if "max_steps" not in text]
    busy = fit(*settings, f"signal.path={saved(noise(64, 64))}", "tuned.steps=3")
    assert busy["steps"] == 6
    kept = torch.load(busy["folder"] / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["lr_schedulers"][0]["total_steps"] == 6
    given = fit(*settings, f"signal.path={saved(noise(64, 64))}", "trainer.max_steps=2", folder="given")
    assert given["steps"] == 2
