"""Frames halfway between those of a film, guessed from how things move from one to the next.

    m(x) = (a(x) + b(x)) / 4 + (a(x - v(x)/2) + b(x + v(x)/2)) / 4        v = (forward - backward) / 2

forward is the optical flow from a frame a to the next one, b, and backward that from b to a, each by iterative
Lucas-Kanade. Half of it is the plain blend, which is the better guess where the flow is wrong.
Source: Le Besnerais and Champagnat, Dense Optical Flow by Iterative Local Window Registration, 2005, as scikit-image's
`optical_flow_ilk`.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_ilk
from tqdm import tqdm

_LEAST = 16  # pixels along each side: in less the flow has nothing to go by


def halfway(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(T - 1, H, W, C) between frames, each (H, W, C)."""
    pairs = tqdm(pairwise(frames), "motion", len(frames) - 1, leave=False, unit="frame")
    return np.stack([_between(a, b) for a, b in pairs])


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if min(a.shape[:2]) < _LEAST:
        return (a + b) / 2
    grey, later = a.mean(axis=-1), b.mean(axis=-1)
    motion = (np.stack(optical_flow_ilk(grey, later)) - np.stack(optical_flow_ilk(later, grey))) / 2
    here = np.indices(grey.shape, dtype=motion.dtype)
    return (a + b + _moved(a, here - motion / 2) + _moved(b, here + motion / 2)) / 4


def _moved(frame: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(H, W, C), the frame at places (2, H, W), row and column."""
    return np.stack(
        [map_coordinates(channel, places, order=3, mode="nearest") for channel in np.rollaxis(frame, -1)], -1
    )
