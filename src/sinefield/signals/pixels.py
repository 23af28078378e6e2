"""Pictures as arrays: any file that Pillow reads becomes (H, W, C) float64 in [0, 1], or a `UserError`.

Left alone: colour profiles, gamma, and the low byte of 16-bit colour, which Pillow drops on reading.
"""

import difflib
import logging
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageOps, UnidentifiedImageError

from sinefield.errors import UserError, require, whole

_log = logging.getLogger(__name__)

_SHIPPED = "skimage:"
_LEAST_SIDE = 4  # pixels: a cubic spline through the picture needs four of them in each direction
_GREY = ("1", "L", "LA", "La")
# Modes that Pillow's `convert` clips at 255 instead of scaling, with the value that stands for white.
_DEEP = dict.fromkeys(("I", "I;16", "I;16L", "I;16B", "I;16N"), 65535.0) | {"F": 1.0}
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # two TIFF tags and a value of the second
# What Pillow's readers let through on damaged bytes, found by damaging files of thirty kinds.
_DAMAGE = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


def decode(path: str | Path, *, allow_huge: bool = False) -> np.ndarray:
    """The picture at `path`, or the one that scikit-image ships as `skimage:NAME`, as float64.

    Stored values are divided by their peak: 255, 65535 for 16-bit grey, 1 for float. A transparent picture
    is laid over white, v = 1 - alpha (1 - value). The EXIF orientation is applied. Of several frames the
    first is kept, and a warning logged.

    Returns (H, W, C) in [0, 1]: C = 1 for a grey file, 3 for every other (also for a palette of greys).
    Raises `UserError` for everything but a whole, readable picture of at least 4 × 4 pixels; and, unless
    `allow_huge`, for one beyond `PIL.Image.MAX_IMAGE_PIXELS`, before its pixels take any memory.

    >>> decode("skimage:camera").shape, decode("skimage:astronaut").shape
    ((512, 512, 1), (512, 512, 3))
    """
    file, name = locate(path), repr(str(path))
    # A stream, not the path: Pillow 13 maps a path into memory and then scrambles a raw TIFF on its side.
    with _guarded(name, allow_huge), file.open("rb") as stream, Image.open(stream) as image:
        width, height = image.size
        fits = min(width, height) >= _LEAST_SIDE
        require(fits, f"{name} is {width} × {height} pixels; take one of at least {_LEAST_SIDE} on each side")
        if getattr(image, "is_animated", False):
            _log.warning("%s holds several frames; only the first is used", name)
        ImageOps.exif_transpose(image, in_place=True)
        return _deep(image, name) if image.mode in _DEEP else _shallow(image)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`pixels`, (H, W, C), resampled to (height, width, C) by an anti-aliased Lanczos filter.

    Returns float64 with float32 precision, or `pixels` itself when its shape fits already.
    A constant stays constant; beside sharp edges the filter overshoots [0, 1], which is not clipped.
    """
    good = pixels.ndim == 3 and pixels.size > 0
    require(good, f"resize needs an array (height, width, channels) with pixels in it, not {pixels.shape}")
    size = whole("the new width", width, least=1), whole("the new height", height, least=1)
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = (Image.fromarray(plane) for plane in np.moveaxis(pixels, -1, 0).astype(np.float32, order="C"))
    resized = [np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes]
    return np.stack(resized, axis=-1).astype(np.float64)


def _shallow(image: Image.Image) -> np.ndarray:
    """(H, W, C) of a picture with at most 8 bits per channel."""
    colours = "L" if image.mode in _GREY else "RGB"
    converted = image.convert(colours + "A" * image.has_transparency_data)
    values = np.asarray(converted, dtype=np.float64).reshape(image.height, image.width, -1) / 255
    value, alpha = values[..., : len(colours)], values[..., len(colours) :]
    return 1 - alpha * (1 - value) if alpha.size else value


def _deep(image: Image.Image, name: str) -> np.ndarray:
    """(H, W, 1) of a grey picture with 16-bit, 32-bit or float values."""
    tags = getattr(image, "tag_v2", {})  # Pillow leaves 12-bit and white-is-zero TIFFs as they are stored
    peak = 4095.0 if tags.get(_BITS) == (12,) else _DEEP[image.mode]
    raw = np.asarray(image, dtype=np.float64)
    span = f"{raw.min():g} to {raw.max():g}"  # "nan to nan" if there is one NaN, which fails the test below
    inside = bool(((raw >= 0) & (raw <= peak)).all())
    require(inside, f"{name} holds values from {span}; rescale them to 0 (black) to {peak:g} (white)")
    values = 1 - raw / peak if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else raw / peak
    if isinstance(key := image.info.get("transparency"), int):
        values[raw == key] = 1
    return values[..., None]


def locate(path: str | Path) -> Path:
    """The readable, non-empty file that `path` names."""
    text = isinstance(path, str | Path) and str(path).strip() != ""
    require(text, f"the path of a picture must be a file or a name like skimage:camera, not {path!r}")
    if str(path).startswith(_SHIPPED):
        return _shipped(str(path).removeprefix(_SHIPPED))
    file, name = Path(path), repr(str(path))
    try:
        status = file.stat()
        if stat.S_ISREG(status.st_mode):  # a pipe would block
            file.open("rb").close()
    except FileNotFoundError as error:
        present = {other.name.lower(): other.name for other in file.parent.glob("*")}
        close = [repr(present[match]) for match in difflib.get_close_matches(file.name.lower(), present)]
        hint = f"did you mean {' or '.join(close)}?" if close else "check the path"
        raise UserError(f"{name} does not exist; {hint}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL or an unencodable character
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be opened ({reason}); check the path and its permissions") from error
    require(not stat.S_ISDIR(status.st_mode), f"{name} is a directory; give the path of one picture in it")
    require(stat.S_ISREG(status.st_mode), f"{name} is a device or a pipe; copy the picture into a file")
    require(status.st_size > 0, f"{name} is empty (0 bytes); get it again")
    return file


def _shipped(name: str) -> Path:
    """A picture in scikit-image's own data directory, which needs no download."""
    folder = Path(skimage.__file__).parent / "data"
    choices = {file.stem: file for suffix in ("png", "jpg") for file in folder.glob(f"*.{suffix}")}
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {_SHIPPED}{close[0]}? " if close else ""
    listed = ", ".join(sorted(choices))
    require(name in choices, f"scikit-image ships no picture {name!r}; {hint}choose from {listed}")
    return choices[name]


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
            raise UserError(f"{name} is no picture that Pillow can read; save it as PNG") from error
        except MemoryError as error:
            raise UserError(f"{name} does not fit into memory; make it smaller") from error
        except (*_DAMAGE, struct.error, zlib.error) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{name} is damaged or cut short ({reason}); get it again") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    for warning in caught:
        _log.warning("%s: %s", name, warning.message)
