"""What lies between the samples of a picture, as far as the picture itself tells: filters fitted one scale up.

Without every second sample, a picture is one of half the resolution whose values between the samples are known. So

    s(between) = spline + a w . (samples around it - their mean)

has its filter w by least squares: of all filters it finds the left-out samples best from those around them. One w
serves the places between two samples, one those between four; both treat mirror images and turns alike.
Pictures are much alike at neighbouring scales, but with fewer samples more detail is folded into what is left. So the
correction is damped: a is 0.7 times what fits best when the filter of two scales up is applied one scale up.

Source: self-similarity of pictures, Field (1987), and Glasner et al., Super-resolution from a single image (2009); the
filters are those of Li & Orchard, New edge-directed interpolation (2001), but one for the whole picture.
"""

import numpy as np
import torch

from sinefield.signals import spline

PLACES = ((0, 1), (1, 0), (1, 1))  # half sample distances down and to the right
Place = tuple[int, int]

_REACH = 3  # samples around a place on either side
_RIDGE = 0.01  # keeps w small, relative to the mean square of the samples around
_DAMPING = 0.7
_FEWEST = 24  # samples along each side, two scales up; of fewer a filter would learn noise


def refined(samples: np.ndarray) -> np.ndarray:
    """The picture twice as fine, (2H-1, 2W-1, C), whose every second value is a sample (H, W, C).

    The cubic spline through the samples where they are too few.
    """
    fine = spline.refined(samples)
    coarse, left_out = samples[::2, ::2], _odd(samples)
    if min(coarse[::2, ::2].shape[:2]) < _FEWEST:
        return fine
    residual, tried = left_out - spline.refined(coarse), _corrections(coarse, _filters(coarse))
    fits = sum(float((tried[place] * _at(residual, place)).sum()) for place in PLACES)
    power = sum(float((tried[place] ** 2).sum()) for place in PLACES)
    damping = _DAMPING * min(max(fits / power, 0.0), 1.0) if power else 0.0
    for place, correction in _corrections(samples, _filters(samples)).items():
        _at(fine, place)[:] += damping * correction
    return fine


def _filters(samples: np.ndarray) -> dict[Place, np.ndarray]:
    """For each place the filter that corrects the spline through every second sample best."""
    coarse, rim = samples[::2, ::2], slice(_REACH + 1, -_REACH - 1)  # where nothing is made up beyond the border
    residual = _odd(samples) - spline.refined(coarse)
    systems = {}
    for place in PLACES:
        around = _around(coarse, place)
        shape = around.shape[-2:]
        seen, wanted = around[rim, rim].reshape(-1, shape[0] * shape[1]), _at(residual, place)[rim, rim].reshape(-1)
        systems[place] = seen.T @ seen, seen.T @ wanted, np.arange(seen.shape[1]).reshape(shape)
    found: dict[Place, np.ndarray] = {}
    for place, turned in (((0, 1), (1, 0)), ((1, 1), (1, 1))):
        size = len(systems[place][1])
        gram, right = np.zeros((size, size)), np.zeros(size)
        for (own, by, index), order in ((systems[place], np.asarray), (systems[turned], np.transpose)):
            taps = order(index)
            for mirrored in (taps, taps[::-1], taps[:, ::-1], taps[::-1, ::-1]):
                gram += own[np.ix_(mirrored.ravel(), mirrored.ravel())]
                right += by[mirrored.ravel()]
        ridge = _RIDGE * np.trace(gram) / size + np.finfo(float).tiny
        w = np.linalg.solve(gram + ridge * np.eye(size), right).reshape(systems[place][2].shape)
        found |= {place: w, turned: w.T}
    return found


def _corrections(samples: np.ndarray, filters: dict[Place, np.ndarray]) -> dict[Place, np.ndarray]:
    """For each place what its filter makes of the samples around, (H or H-1, W or W-1, C)."""
    corrections = {}
    for place, w in filters.items():
        planes = torch.from_numpy(_padded(samples, place).transpose(2, 0, 1)).unsqueeze(1)
        corrected = torch.nn.functional.conv2d(planes, torch.from_numpy(w - w.mean())[None, None])
        corrections[place] = corrected.squeeze(1).permute(1, 2, 0).numpy()
    return corrections


def _around(samples: np.ndarray, place: Place) -> np.ndarray:
    """(.., .., C, 6 or 7, 6 or 7) the samples around each place, less their mean."""
    size = [2 * _REACH + 1 - half for half in place]
    windows = np.lib.stride_tricks.sliding_window_view(_padded(samples, place), size, axis=(0, 1))
    return windows - windows.mean(axis=(-2, -1), keepdims=True)


def _padded(samples: np.ndarray, place: Place) -> np.ndarray:
    """The samples and, for filters at the border, their point reflection beyond it."""
    margins = [(_REACH - half, _REACH - half) for half in place]
    return np.pad(samples, [*margins, (0, 0)], mode="reflect", reflect_type="odd")


def _at(fine: np.ndarray, place: Place) -> np.ndarray:
    """The values at a place between the samples of a grid twice as fine."""
    return fine[place[0] :: 2, place[1] :: 2]


def _odd(samples: np.ndarray) -> np.ndarray:
    """An odd number of samples along each axis, so that the outermost belong to every second."""
    height, width = samples.shape[:2]
    return samples[: height - 1 + height % 2, : width - 1 + width % 2]
