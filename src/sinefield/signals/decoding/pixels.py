"""Pictures as arrays: any file that Pillow or tifffile reads becomes (H, W, C) float64 in [0, 1], or a `UserError`.

Left alone: colour profiles, gamma, and the low byte of 16-bit colour, which Pillow drops on reading; not so in a TIFF
that `tiff` reads.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import StubImageFile

from sinefield.errors import UserError, positive, require
from sinefield.signals.decoding import exif, tiff
from sinefield.signals.decoding.levels import DIM, WIDE_INTEGERS, laid_over, scaled, warn_unused
from sinefield.signals.decoding.source import DAMAGE, NoPictureError, locate

_log = logging.getLogger(__name__)

_LEAST_SIDE = 4  # pixels: a cubic spline through the picture needs four of them in each direction
_GREY = ("1", "L", "LA", "La")
# Modes that Pillow's `convert` clips at 255 instead of scaling, with the value that stands for white.
_DEEP = dict.fromkeys(("I", "I;16", "I;16L", "I;16B", "I;16N"), WIDE_INTEGERS) | {"F": 1.0}
# Three TIFF tags, with a value of the second and of the third.
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO, _FORMAT, _SIGNED = 258, 262, 0, 339, 2
_CUT = "of 16 bits of colour only the upper 8 are read; save it as an uncompressed TIFF, and give signal.white"


def decode(
    path: str | Path, *, allow_huge: bool = False, white: float | None = None, behind: float = 1.0
) -> np.ndarray:
    """The picture at `path`, or the one that scikit-image ships as `skimage:NAME`, as float64.

    Stored values are divided by `white`, or by the white of their type: 255, 65535 for 16 bits and for wider
    integers, 1 for float; a warning is logged where they are nearly black by it. Files of at most 8 bits per channel
    have no other white than their type's. A transparent picture is laid over the grey `behind`, white unless it is
    given. The EXIF orientation is applied. Of several frames the first is kept, and a warning logged.

    Returns (H, W, C) in [0, 1]: C = 1 for a grey file, 3 for every other (also for a palette of greys).
    Raises `NoPictureError` for what is no picture, and `UserError` for a damaged one, for one below 4 × 4 pixels, and,
    unless `allow_huge`, for one beyond `PIL.Image.MAX_IMAGE_PIXELS`, before its pixels take any memory.

    >>> decode("skimage:camera").shape, decode("skimage:astronaut").shape
    ((512, 512, 1), (512, 512, 3))
    """
    white = None if white is None else positive("signal.white", white)
    file, name = locate(path), repr(str(path))
    # A stream, not the path: Pillow 13 maps a path into memory and then scrambles a raw TIFF on its side.
    with _guarded(name, allow_huge), file.open("rb") as stream:
        pixels = tiff.decode(file, name, white, behind) if stream.read(4) in tiff.MAGIC else None
        if pixels is None:
            stream.seek(0)
            pixels = _by_pillow(stream, name, white, behind)
    height, width = pixels.shape[:2]
    cure = f"take one of at least {_LEAST_SIDE} on each side"
    require(min(height, width) >= _LEAST_SIDE, f"{name} is {width} × {height} pixels; {cure}")
    return pixels


def _by_pillow(stream: BinaryIO, name: str, white: float | None, behind: float) -> np.ndarray:
    """`decode` of what Pillow reads."""
    with Image.open(stream) as image:
        if isinstance(image, StubImageFile):  # Pillow knows the kind, and has no reader for it
            raise UnidentifiedImageError
        if getattr(image, "is_animated", False):
            _log.warning("%s holds several frames; only the first is used", name)
        cut = any(";16" in str(tile[3]) for tile in image.tile)  # of more bits than Pillow keeps, unless they are grey
        image.load()
        if image.mode in _DEEP:
            pixels = _deep(image, name, white)
        else:
            pixels = _shallow(image, behind)
            if cut and 0 < pixels.max() < 1 / DIM:
                _log.warning("%s is nearly black: %s", name, _CUT)
            elif white is not None:
                warn_unused(name)
        # Pillow turns a TIFF upright itself.
        return pixels if image.format == "TIFF" else exif.upright(pixels, exif.orientation(image.info))


def _shallow(image: Image.Image, behind: float) -> np.ndarray:
    """(H, W, C) of a picture with at most 8 bits per channel."""
    colours = "L" if image.mode in _GREY else "RGB"
    converted = image.convert(colours + "A" * image.has_transparency_data)
    values = np.asarray(converted, dtype=np.float64).reshape(image.height, image.width, -1) / 255
    value, alpha = values[..., : len(colours)], values[..., len(colours) :]
    return laid_over(value, alpha, behind) if alpha.size else value


def _deep(image: Image.Image, name: str, white: float | None) -> np.ndarray:
    """(H, W, 1) of a grey picture with 16-bit, 32-bit or float values."""
    tags = getattr(image, "tag_v2", {})  # Pillow leaves 12-bit and white-is-zero TIFFs as they are stored
    bits, signed = tags.get(_BITS), tags.get(_FORMAT) == (_SIGNED,)
    peak = 4095.0 if bits == (12,) else 32767.0 if bits == (16,) and signed else _DEEP[image.mode]
    raw = np.asarray(image)
    values = scaled(raw, name, peak, white)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 1 - values
    if isinstance(key := image.info.get("transparency"), int):
        values[raw == key] = 1
    return values[..., None]


@contextmanager
def _guarded(name: str, allow_huge: bool) -> Iterator[None]:
    """Turn what Pillow raises into `UserError` and what it warns of into log lines."""
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            if allow_huge:  # the error beyond twice the limit has no other switch
                Image.MAX_IMAGE_PIXELS = None
            yield
        except UserError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            reason = str(error).partition(",")[0]
            raise UserError(f"{name}: {reason}; make it smaller, or add signal.allow_huge=true") from error
        except UnidentifiedImageError as error:
            raise NoPictureError(f"{name} is no picture that Pillow can read; save it as PNG") from error
        except MemoryError as error:
            raise UserError(f"{name} does not fit into memory; make it smaller") from error
        except DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{name} is damaged or cut short ({reason}); get it again") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    for warning in caught:
        _log.warning("%s: %s", name, warning.message)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`pixels`, (H, W, C), resampled to (height, width, C) by an anti-aliased Lanczos filter.

    Returns float64 with float32 precision, or `pixels` itself when its shape fits already.
    A constant stays constant; beside sharp edges the filter overshoots [0, 1], which is not clipped.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = (Image.fromarray(plane) for plane in np.moveaxis(pixels, -1, 0).astype(np.float32, order="C"))
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.LANCZOS)) for plane in planes]
    return np.stack(resized, axis=-1).astype(np.float64)


def middle(pixels: np.ndarray) -> np.ndarray:
    """The largest square in the middle of (H, W, C)."""
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
