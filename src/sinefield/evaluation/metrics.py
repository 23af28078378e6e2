"""Scores of a field against the truth, on the samples and between them.

Values lie in [-1, 1] and the data range is 2 (1 for the picture in [0, 1]); predictions are not clipped.

    PSNR = 10 log10(range^2 / mean |f - s|^2) dB, the mean over points and channels
    SSIM   Wang et al. 2004, Gaussian window of sigma 1.5 wholly inside the picture, of at least 11 pixels a side
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

DATA_RANGE = 2.0
_SSIM_WINDOW = 11  # pixels, torchmetrics' kernel for sigma = 1.5


def score(
    prediction: Tensor, truth: Tensor, upsampling: int, unseen: Callable[[Tensor], Tensor]
) -> dict[str, float | None]:
    """PSNR and SSIM of a prediction, after removing only what its loss leaves free.

    Args:
        prediction, truth: (H', W', C) on the samples' grid (upsampling 1) or on the one twice as fine (upsampling 2),
            whose every second point is a sample.
        upsampling: 1 or 2.
        unseen: maps the error at the samples (H, W, C) to the part of it that the loss cannot see.

    Returns:
        psnr: dB on the samples, less the free part. psnr_raw: dB on the samples, as it is. psnr_off_grid: dB on the
        points between the samples, less the free part, interpolated; None at upsampling 1. ssim: on the samples, less
        the free part; None for a picture smaller than its window.
    """
    raw, samples = prediction[::upsampling, ::upsampling], truth[::upsampling, ::upsampling]
    free = unseen(raw - samples)
    fitted = raw - free
    between = None
    if upsampling > 1:
        off = torch.ones(truth.shape[:2], dtype=torch.bool, device=truth.device)
        off[::upsampling, ::upsampling] = False
        shape = (truth.shape[0], truth.shape[1])
        smooth = functional.interpolate(_planes(free), shape, mode="bilinear", align_corners=True)
        between = _psnr((prediction - smooth[0].permute(1, 2, 0))[off], truth[off])
    return {
        "psnr": _psnr(fitted, samples),
        "psnr_raw": _psnr(raw, samples),
        "psnr_off_grid": between,
        "ssim": _ssim(fitted, samples),
    }


def _psnr(prediction: Tensor, truth: Tensor) -> float:
    return peak_signal_noise_ratio(prediction, truth, data_range=DATA_RANGE).item()


def _ssim(prediction: Tensor, truth: Tensor) -> float | None:
    if min(truth.shape[:2]) < _SSIM_WINDOW:
        return None
    planes = _planes(prediction), _planes(truth)
    _, local = structural_similarity_index_measure(*planes, data_range=DATA_RANGE, return_full_image=True)
    edge = _SSIM_WINDOW // 2  # there the window would look at mirrored pixels, which Wang et al. leave out
    return local[..., edge:-edge, edge:-edge].mean().item()


def _planes(picture: Tensor) -> Tensor:
    """(H, W, C) as the (1, C, H, W) that convolutions take."""
    return picture.permute(2, 0, 1).unsqueeze(0)
