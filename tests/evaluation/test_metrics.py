"""Scores against numpy and scikit-image, on the samples and between them, less what the loss leaves free."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from sinefield.evaluation.metrics import score
from sinefield.losses.base import Loss
from sinefield.losses.constraints import Border, Mean, Pixel
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian

pytestmark = pytest.mark.usefixtures("float64")

SAMPLES = (slice(None, None, 2),) * 2  # of the grid twice as fine


def nothing(error: Tensor) -> Tensor:
    return torch.zeros_like(error)


def decibels(error: Tensor) -> float:
    """10 log10(range^2 / mean |error|^2) for values in [-1, 1]."""
    return 10 * math.log10(4 / np.mean(np.square(error.numpy())))


def between(picture: Tensor) -> Tensor:
    """The points of a fine grid that are no samples, picked one by one."""
    height, width, _ = picture.shape
    return torch.stack([picture[i, j] for i in range(height) for j in range(width) if i % 2 or j % 2])


def picture(*shape: int) -> Tensor:
    """A pattern in [-1, 1] with structure and noise."""
    height, width, channels = shape
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    phases = torch.arange(channels)
    return 0.7 * torch.sin(3 * x[..., None] + 2 * y[..., None] + phases) + 0.3 * (2 * torch.rand(*shape) - 1)


@pytest.fixture(params=[(31, 41, 1), (31, 41, 3)])
def truth(request) -> Tensor:
    return picture(*request.param)


class TestPSNR:
    def test_is_the_formula(self, truth):
        """On the samples and between them, over points and channels; the mean is taken before the logarithm."""
        error = 0.1 * torch.randn_like(truth)
        found = score(truth + error, truth, upsampling=2, unseen=nothing)
        assert found["psnr"] == pytest.approx(decibels(error[SAMPLES]), rel=1e-12)
        assert found["psnr_raw"] == found["psnr"]
        assert found["psnr_off_grid"] == pytest.approx(decibels(between(error)), rel=1e-12)

    def test_is_that_of_scikit_image(self, truth):
        """With the data range of 2 given."""
        prediction = truth + 0.1 * torch.randn_like(truth)
        expected = peak_signal_noise_ratio(truth.numpy(), prediction.numpy(), data_range=2)
        assert score(prediction, truth, upsampling=1, unseen=nothing)["psnr"] == pytest.approx(expected, rel=1e-12)

    def test_predictions_are_not_clipped(self, truth):
        """A prediction of 5 where the picture has its own value counts as it is."""
        prediction = torch.full_like(truth, 5.0)
        found = score(prediction, truth, upsampling=1, unseen=nothing)
        assert found["psnr"] == pytest.approx(decibels(prediction - truth), rel=1e-12)

    def test_an_error_at_the_samples_alone(self, truth):
        """Leaves the points between perfect: infinitely many decibels."""
        prediction = truth.clone()
        prediction[SAMPLES] += 0.1
        found = score(prediction, truth, upsampling=2, unseen=nothing)
        assert found["psnr"] == pytest.approx(10 * math.log10(4 / 0.01))
        assert found["psnr_off_grid"] == math.inf

    def test_an_error_between_the_samples_alone(self, truth):
        """Leaves the samples perfect: PSNR and SSIM see nothing of it."""
        prediction = truth + 0.1
        prediction[SAMPLES] = truth[SAMPLES]
        found = score(prediction, truth, upsampling=2, unseen=nothing)
        assert found["psnr"] == found["psnr_raw"] == math.inf
        assert found["ssim"] == pytest.approx(1, abs=1e-12)
        assert found["psnr_off_grid"] == pytest.approx(10 * math.log10(4 / 0.01))


class TestFreedom:
    PERFECT = 250  # dB, of rounding in float64 alone

    def test_a_constant_error_of_a_gradient_loss(self, truth):
        """Is removed from psnr, psnr_off_grid and ssim, channel by channel, and stays in psnr_raw."""
        error = torch.linspace(0.1, 0.3, truth.shape[2]).expand_as(truth)
        found = score(truth + error, truth, upsampling=2, unseen=Gradient().unseen)
        assert found["psnr"] > self.PERFECT
        assert found["psnr_off_grid"] > self.PERFECT
        assert found["ssim"] == pytest.approx(1, abs=1e-12)
        assert found["psnr_raw"] == pytest.approx(decibels(error), rel=1e-12)

    def test_only_the_constant_is_removed(self, truth):
        """psnr is that of the error less its mean at the samples, which is taken off between them as well."""
        error = 0.1 * torch.randn_like(truth) + 0.2
        mean = error[SAMPLES].mean(dim=(0, 1))
        found = score(truth + error, truth, upsampling=2, unseen=Gradient().unseen)
        assert found["psnr"] == pytest.approx(decibels((error - mean)[SAMPLES]), rel=1e-10)
        assert found["psnr_off_grid"] == pytest.approx(decibels(between(error - mean)), rel=1e-10)

    def test_a_harmonic_error_of_a_laplacian_loss(self, truth):
        """A tilted plane x + 2 y + 3 x y, which is linear along rows and columns, is removed on and off the grid."""
        height, width, channels = truth.shape
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        error = 0.1 * (x + 2 * y + 3 * x * y)[..., None].expand(-1, -1, channels)
        found = score(truth + error, truth, upsampling=2, unseen=Laplacian().unseen)
        assert found["psnr"] > self.PERFECT
        assert found["psnr_off_grid"] > self.PERFECT
        assert found["psnr_raw"] == pytest.approx(decibels(error[SAMPLES]), rel=1e-12)

    @pytest.mark.parametrize("anchor", [Border(), Mean(), Pixel()])
    @pytest.mark.parametrize("cls", [Gradient, Laplacian])
    def test_an_anchored_loss_does_not_forgive_a_constant(self, truth, cls, anchor):
        found = score(truth + 0.1, truth, upsampling=2, unseen=Loss({"derivative": cls(), "constraint": anchor}).unseen)
        assert found["psnr"] == pytest.approx(found["psnr_raw"])
        assert found["psnr"] == pytest.approx(10 * math.log10(4 / 0.01))


class TestSSIM:
    @pytest.mark.parametrize("noise", [0.02, 0.2, 1.0])
    @pytest.mark.parametrize("shape", [(32, 45, 1), (32, 45, 3), (11, 11, 1), (11, 30, 3)])
    def test_is_that_of_scikit_image(self, shape, noise):
        """Gaussian window of sigma 1.5 wholly inside the picture, population covariance: to 1e-12."""
        truth = picture(*shape)
        prediction = truth + noise * torch.randn_like(truth)
        expected = structural_similarity(
            truth.numpy(),
            prediction.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=2,
            channel_axis=2,
        )
        found = score(prediction, truth, upsampling=1, unseen=nothing)["ssim"]
        assert found == pytest.approx(expected, abs=1e-12)

    def test_of_the_samples_alone(self, truth):
        """At upsampling 2 it is that of every second point."""
        prediction = truth + 0.2 * torch.randn_like(truth)
        fine = score(prediction, truth, upsampling=2, unseen=nothing)["ssim"]
        assert fine == score(prediction[SAMPLES], truth[SAMPLES], upsampling=1, unseen=nothing)["ssim"]

    @pytest.mark.parametrize("shape", [(10, 30, 1), (30, 10, 3), (4, 4, 1)])
    def test_of_a_picture_smaller_than_its_window(self, shape):
        """Is not known; the PSNR is."""
        truth = picture(*shape)
        found = score(truth + 0.1, truth, upsampling=1, unseen=nothing)
        assert found["ssim"] is None
        assert found["psnr"] == pytest.approx(10 * math.log10(4 / 0.01))


def test_nothing_between_the_samples():
    """Where the truth there is not known, neither is the score."""
    truth = picture(20, 20, 1)
    assert score(truth + 0.1, truth, upsampling=1, unseen=nothing)["psnr_off_grid"] is None


def test_scores_are_plain_numbers():
    """As metrics.json and a logger want them, from single precision too."""
    truth = picture(31, 41, 3).float()
    found = score(truth + 0.1, truth, upsampling=2, unseen=Laplacian().unseen)
    assert found.keys() == {"psnr", "psnr_raw", "psnr_off_grid", "ssim"}
    assert {type(value) for value in found.values()} == {float}
