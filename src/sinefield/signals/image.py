"""A picture: the spline through its pixels, with exact derivatives at any coordinate."""

import logging
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.errors import integer, require
from sinefield.signals import spline
from sinefield.signals.base import Signal
from sinefield.signals.decoding.pixels import decode, resize
from sinefield.signals.prior import Prior

log = logging.getLogger(__name__)

MOST = 2**22  # samples of a picture whose spline has four times as many knots


class Image(Signal):
    """A picture file as a continuous function with values in [-1, 1].

    Its jet is that of the tensor-product B-spline through the training samples or, with a `prior`, through a picture
    twice as fine that has them as every second pixel, and between them what the prior finds: see
    `sinefield.signals.prior`. With `holdout`, the training samples are every second pixel of the file's picture, and
    the pixels in between are never trained on.

    Args:
        path: a picture file, or `skimage:NAME` for one that scikit-image ships.
        size: training samples along the longest side, at most what the file has; None for all it has.
        holdout: keep the pixels between the samples as the truth to score on, where the file is large enough.
        degree: p of the spline, odd, at least 3: its Laplacian is continuous from 3 on and smooth from 5 on.
        allow_huge: read pictures of more than 89 million pixels too.
        square: take the largest square in the middle alone.
        prior: fill in between the samples what the prior of this name or file finds; not for more than `MOST` samples.
            None for the spline alone.
        symmetric: let it take the mean over eight turns and mirror images, at eight times the cost.
        white: the stored value of white in a file of more than 8 bits per channel; None for its type's, see `decode`.

    Raises:
        UserError: the file cannot be read as a picture, or is too small.
    """

    c: Tensor  # of the spline that is the signal, and of the plain one through the samples
    plain: Tensor
    finer: int  # knots of the signal's spline from sample to sample

    def __init__(
        self,
        path: str | Path,
        size: int | None = 256,
        holdout: bool = True,
        degree: int = 3,
        allow_huge: bool = False,
        square: bool = False,
        white: float | None = None,
        prior: str | Path | None = None,
        symmetric: bool = False,
    ) -> None:
        degree = integer("signal.degree", degree, least=3)
        require(degree % 2 == 1, f"signal.degree must be odd (3, 5, ...), not {degree}")
        pixels = decode(path, allow_huge=allow_huge, white=white)
        if square:
            side = min(pixels.shape[:2])
            top, left = ((n - side) // 2 for n in pixels.shape[:2])
            pixels = pixels[top : top + side, left : left + side]
        own = max(pixels.shape[:2])
        wanted = (own + 1) // 2 if holdout else own
        if size is not None:
            wanted = min(integer("signal.size", size, least=degree + 1), own)  # pixels are never made up
        split = holdout and own >= 2 * wanted - 1
        if holdout and not split:
            log.warning("%s is %d pixels long: too few to hold some out at signal.size=%d", path, own, wanted)
        target = min(2 * wanted, own) if split else wanted
        height, width = (max(1, round(n * target / own)) for n in pixels.shape[:2])
        values = 2 * resize(pixels, height, width) - 1
        if split:  # an odd number of pixels per axis, so that the samples are the corners of the picture in between
            values = values[: height - 1 + height % 2, : width - 1 + width % 2]
        samples = values[::2, ::2] if split else values
        height, width, channels = samples.shape
        require(
            min(height, width) > degree,
            f"{path} has {width} x {height} samples; a spline of degree {degree} needs {degree + 1} along each side: "
            "choose a larger signal.size or a picture less narrow",
        )
        super().__init__((height, width), channels)
        self.degree, self.files, self.effort = degree, (str(path),), effort(samples)
        plain = torch.from_numpy(spline.coefficients(samples, degree)).to(self.extent)
        self.register_buffer("plain", plain)
        self.finer, known = 1, plain
        if prior is not None and height * width <= MOST:
            fine = spline.refined(samples, degree) + Prior(prior, symmetric).refined(samples)
            self.prior, self.finer, known = True, 2, torch.from_numpy(spline.coefficients(fine, degree)).to(self.extent)
            self.files += (str(prior),) if Path(prior).is_file() else ()
        self.register_buffer("c", known)
        self.fine = torch.from_numpy(values.copy()).to(self.extent) if split else None

    def jet(self, x: Tensor, order: int) -> Jet:
        """Value (N, C), gradient (N, C, D) and Laplacian (N, C) at coordinates x (N, D), as deep as `order` asks."""
        n = self.finer
        return spline.evaluate(self.c, n * self.pixels(x), self.degree, order, self.spacing / n)

    def interpolated(self, x: Tensor) -> Tensor:
        """(N, C), the values of the spline through the samples alone."""
        return spline.evaluate(self.plain, self.pixels(x), self.degree, 0).value


def effort(samples: np.ndarray) -> float:
    """Optimizer steps that a picture (H, W, C) takes, relative to a grey one of 256 x 256 samples of usual detail.

        2^((14 dB - p) / 8 dB) from 0.75 to 2      p = 10 log10(4 / mean of squared third differences)

    times 1.2 for colour and, for more than 256 x 256 samples, how many times as many, 4 at most: what a larger picture
    lacks by then, more steps of the same network hardly mend. Of fifteen pictures of 256 samples p runs from -1 dB,
    line art, to 27 dB, the moon; camera has 14 dB.
    """
    power = np.mean([np.square(np.diff(samples, 3, axis=axis)).mean() for axis in (0, 1)])
    psnr = 10 * math.log10(4 / power) if power > 0 else math.inf
    detail = 2 ** min(max((14 - psnr) / 8, math.log2(0.75)), 1.0)
    height, width, channels = samples.shape
    return float(detail * (1.2 if channels > 1 else 1.0) * min(max(1.0, height * width / 256**2), 4.0))
