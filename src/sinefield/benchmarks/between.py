"""What lies between the samples, by several methods: PSNR of the pixels between every second one of a picture.

Bicubic is Keys' with a = -1/2, Lanczos has three lobes, both by their taps at half a sample; `edge_directed` fits,
around every place, the four weights of its nearest neighbours that predict the samples there from theirs, one scale up.
Gradient and Laplacian are compared with those of the spline through all pixels, at the pixels between.

Sources: Keys, Cubic convolution interpolation (1981); Duchon, Lanczos filtering (1979); Li & Orchard, New edge-directed
interpolation (2001).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from sinefield.core.jet import Jet, joined
from sinefield.signals import spline
from sinefield.signals.decoding.pixels import decode
from sinefield.signals.prior import Prior

_WINDOW = 9  # places along each side that weights are fitted over
_RIDGE = 1e-3  # of the mean square of the neighbours; keeps the weights where they are equal
_BLOCK = 2**16
_OFFSETS = np.array([0.5, 1.5, 2.5])
_LANCZOS = np.sinc(_OFFSETS) * np.sinc(_OFFSETS / 3)
TAPS = {"bicubic": np.array([9.0, -1.0]) / 16, "lanczos": _LANCZOS / (2 * _LANCZOS.sum())}  # at 1/2, 3/2, ..


def rows(
    pictures: Sequence[str], priors: Sequence[str], crop: int | None = None, symmetric: bool = True
) -> Iterator[dict[str, Any]]:
    """A row per picture: PSNR of the spline, gains of the others over it in dB, CPU seconds per megapixel; and means.

    Args:
        pictures: files.
        priors: names or files; of the first also gradient, Laplacian and the mean over eight turns.
        crop: pixels along each side of the middle that is taken; None for all.
        symmetric: whether to take that mean, eight times as dear.
    """
    found = []
    for path in pictures:
        row = _row(path, priors, crop, symmetric)
        found.append(row)
        yield row
    numbers = {key: [row[key] for row in found] for key in found[0] if key != "picture"}
    yield {"picture": "mean", **{key: float(np.mean(values)) for key, values in numbers.items()}}
    yield {"picture": "least", **{key: float(np.min(values)) for key, values in numbers.items()}}


def _row(path: str, priors: Sequence[str], crop: int | None, symmetric: bool) -> dict[str, Any]:
    pixels = 2 * decode(path) - 1
    if crop is not None:
        top, left = (max(0, (n - crop) // 2) for n in pixels.shape[:2])
        pixels = pixels[top : top + crop, left : left + crop]
    pixels = pixels[: pixels.shape[0] - 1 + pixels.shape[0] % 2, : pixels.shape[1] - 1 + pixels.shape[1] % 2]
    samples, off = pixels[::2, ::2], np.ones(pixels.shape[:2], dtype=bool)
    off[::2, ::2] = False
    truth, plain = _jet(pixels, 1, pixels.shape), _jet(samples, 2, pixels.shape)

    def error(parts: Sequence[Any], depth: int = 0) -> float:
        return float(np.square(np.asarray(parts[depth]) - truth[depth])[off].mean())

    base = [error(plain, depth) for depth in range(3)]
    row: dict[str, Any] = {"picture": Path(path).stem.removeprefix("skimage:"), "spline": 10 * np.log10(4 / base[0])}

    def gain(parts: Sequence[Any], depth: int = 0) -> float:
        return 10 * np.log10(base[depth] / error(parts, depth))

    row |= {name: gain([convolved(samples, taps)]) for name, taps in TAPS.items()}
    row["edge_directed"] = gain([edge_directed(samples)])
    down, across = (np.arange(n) / 2 for n in pixels.shape[:2])
    for number, name in enumerate(priors):
        prior, start = Prior(name), process_time()
        value = prior.correction(samples, down, across)[0]
        seconds = process_time() - start
        key = Path(name).stem
        row[key] = gain([plain[0] + value])
        if number == 0:
            if symmetric:
                row[f"{key}_eight"] = gain(
                    [plain[0] + Prior(name, symmetric=True).correction(samples, down, across)[0]]
                )
            own = [a + b for a, b in zip(plain, prior.correction(samples, down, across, order=2), strict=True)]
            row |= {"gradient": gain(own, 1), "laplacian": gain(own, 2)}
            refined = _jet(own[0], 1, pixels.shape)
            row |= {"gradient_splined": gain(refined, 1), "laplacian_splined": gain(refined, 2)}
            row["s_per_megapixel"] = seconds / (value.size / 1e6)
    return row


def _jet(samples: np.ndarray, step: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The jet of the spline through samples that are `step` pixels apart, at all pixels, per two pixels."""
    c = torch.from_numpy(spline.coefficients(samples, 3))
    y, x = np.indices(shape[:2])
    position = torch.from_numpy(np.stack([x, y], axis=-1).reshape(-1, 2) / step)
    jet: Jet = joined([spline.evaluate(c, some, 3, 2, step / 2) for some in position.split(_BLOCK)])
    return [
        jet.parts[0].reshape(shape).numpy(),
        jet.parts[1].reshape(*shape, 2).numpy(),
        jet.parts[2].reshape(shape).numpy(),
    ]


def convolved(samples: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The picture twice as fine by a symmetric filter along each axis, which goes on as its mirror image."""
    for axis in (0, 1):
        moved = np.moveaxis(samples, axis, 0)
        n, reach = len(moved), len(taps)
        wide = np.pad(moved, [(reach, reach)] + [(0, 0)] * (samples.ndim - 1), mode="reflect")
        half = sum(
            w * (wide[reach - k : reach - k + n - 1] + wide[reach + 1 + k : reach + k + n]) for k, w in enumerate(taps)
        )
        fine = np.empty((2 * n - 1, *moved.shape[1:]))
        fine[::2], fine[1::2] = moved, half
        samples = np.moveaxis(fine, 0, axis)
    return samples


def edge_directed(samples: np.ndarray) -> np.ndarray:
    """The picture twice as fine, channel by channel: first the places between four samples, then those between two."""
    fine = np.zeros((2 * samples.shape[0] - 1, 2 * samples.shape[1] - 1, samples.shape[2]))
    fine[::2, ::2] = samples
    row, column = np.indices(fine.shape[:2])
    diagonal, axial = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]), np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
    for channel in np.moveaxis(fine, -1, 0):
        _fill(channel, (row % 2 == 0) & (column % 2 == 0), (row % 2 == 1) & (column % 2 == 1), diagonal)
        _fill(channel, (row + column) % 2 == 0, (row + column) % 2 == 1, axial)
    return fine


def _fill(fine: np.ndarray, known: np.ndarray, wanted: np.ndarray, steps: np.ndarray) -> None:
    """Give the `wanted` places of a channel (H, W) what weights of their neighbours at `steps` find, in place.

    The weights are those that find the known places around, in least squares, from theirs at twice the steps.
    """
    wide = np.pad(fine, 2, mode="reflect")
    height, width = fine.shape

    def shifted(step: np.ndarray) -> np.ndarray:
        return wide[2 + step[0] : 2 + step[0] + height, 2 + step[1] : 2 + step[1] + width]

    near, far = (np.stack([shifted(k * step) for step in steps], axis=-1) for k in (1, 2))
    level = near.mean(axis=-1, keepdims=True)
    mean = far.mean(axis=-1, keepdims=True)
    far, truth = (far - mean) * known[..., None], (fine - mean[..., 0]) * known
    size = (2 * _WINDOW - 1,) * 2  # of the fine grid
    gram = ndimage.uniform_filter(far[..., :, None] * far[..., None, :], (*size, 1, 1))[wanted]
    right = ndimage.uniform_filter(far * truth[..., None], (*size, 1))[wanted]
    ridge = _RIDGE * np.trace(gram, axis1=1, axis2=2) / 4 + 1e-12
    w = np.linalg.solve(gram + ridge[:, None, None] * np.eye(4), right[..., None])[..., 0]
    found = level[wanted][:, 0] + (w * (near - level)[wanted]).sum(-1)
    low, high = near.min(axis=-1)[wanted], near.max(axis=-1)[wanted]
    outside = (found < low - (high - low)) | (found > high + (high - low))  # where the fit has failed: their mean
    fine[wanted] = np.where(outside, level[wanted][:, 0], found)
