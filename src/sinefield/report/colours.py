"""The colours of a run's pictures, each with one fixed meaning.

    value      black -1, white 1: clipped, never rescaled
    gradient   hue = uphill direction, lightness = |∇| / limit: black where flat
    Laplacian  blue below 0, white at 0, red above
    error      root mean square over the channels: black 0, then violet, orange, yellow

What is not finite is magenta, which occurs in none of the maps: a diverged fit is seen, not hidden.
"""

import numpy as np

NOT_FINITE = (255, 0, 255)


def value_picture(value: np.ndarray) -> np.ndarray:
    """Values (H, W, C) in [-1, 1] as (H, W, 3) uint8: round(255 (v + 1) / 2), clipped, never rescaled.

    >>> value_picture(np.array([[[-1.0], [0.0], [1.0], [7.0]]]))[0, :, 0].tolist()
    [0, 128, 255, 255]
    """
    value = np.asarray(value, dtype=float)
    finite = np.isfinite(value).all(axis=-1)
    return _paint(np.broadcast_to((value + 1) / 2, (*finite.shape, 3)), finite)


def gradient_picture(gradient: np.ndarray, limit: float) -> np.ndarray:
    """Gradients (H, W, C, 2) as (H, W, 3) uint8: hue = direction uphill, lightness = |g| / limit, clipped at 1.

    Seen on the page, right is red, up yellow-green, left cyan, down violet; no slope is black. g is the mean of the
    channels' gradients, so it is the gradient of a function: it has a sign (Di Zenzo's structure tensor has only an
    axis) and its divergence is the Laplacian that is drawn; the price is that opposite slopes in two channels cancel.
    The hues are a circle of one lightness and chroma in Oklab (bottosson.github.io/posts/oklab, 2020), where HSV would
    make yellow look steeper than blue.
    """
    x, y = np.moveaxis(mean(gradient, axis=-2), -1, 0)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(finite, x, 0), np.where(finite, y, 0)
    angle = np.arctan2(-y, x) + np.radians(25)  # counter-clockwise on the page, where y runs down; 25° is red
    a, b = 0.125 * np.cos(angle), 0.125 * np.sin(angle)  # with lightness 0.74: the largest circle inside sRGB
    to_cone = np.array([[0.3963, 0.2158], [-0.1056, -0.0639], [-0.0895, -1.2915]])
    to_rgb = np.array([[4.0767, -3.3077, 0.2310], [-1.2684, 2.6098, -0.3413], [-0.0042, -0.7034, 1.7076]])
    cone = (0.74 + np.stack([a, b], axis=-1) @ to_cone.T) * np.clip(np.hypot(x, y) / limit, 0, 1)[..., None]
    linear = np.clip(cone**3 @ to_rgb.T, 0, 1)
    return _paint(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055), finite)


def laplacian_picture(laplacian: np.ndarray, limit: float) -> np.ndarray:
    """Laplacians (H, W, C) as (H, W, 3) uint8: the channels' mean over [-limit, limit], blue below 0, red above.

    The map is ColorBrewer's `RdBu`, white at 0: symmetric in lightness and safe for the colour-blind.
    """
    return _mapped(mean(laplacian) / limit / 2 + 0.5, "RdBu_r")


def error_picture(error: np.ndarray, limit: float) -> np.ndarray:
    """Errors prediction - truth (H, W, C) as (H, W, 3) uint8: √(mean over channels of e²) over [0, limit].

    The mean square of what is drawn is the mean square error of the PSNR. The map is `inferno`.
    """
    return _mapped(rms(error) / limit, "inferno")


def _paint(colour: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) in [0, 1], clipped, as uint8, with NOT_FINITE where `finite` (H, W) does not hold."""
    byte = np.rint(255 * np.clip(np.where(finite[..., None], colour, 0), 0, 1)).astype(np.uint8)
    return np.where(finite[..., None], byte, np.array(NOT_FINITE, dtype=np.uint8))


def _mapped(level: np.ndarray, name: str) -> np.ndarray:
    """Levels (H, W), clipped to [0, 1], in a matplotlib map, interpolated so that 0.5 is exactly its middle."""
    import matplotlib  # noqa: PLC0415  no step of a fit waits for it

    table = matplotlib.colormaps[name](np.arange(256))[:, :3]
    at = 255 * np.clip(np.where(np.isfinite(level), level, 0), 0, 1)
    colour = np.stack([np.interp(at, np.arange(256), channel) for channel in table.T], axis=-1)
    return _paint(colour, np.isfinite(level))


def mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean along an axis, over the channels unless said otherwise."""
    with np.errstate(invalid="ignore"):  # inf - inf is painted, not warned about
        return np.asarray(values, dtype=float).mean(axis=axis)


def rms(error: np.ndarray) -> np.ndarray:
    """Errors (..., C) as their root mean square over the channels, (...)."""
    return np.sqrt(mean(np.square(np.asarray(error, dtype=float))))
