"""TIFFs as arrays: tifffile reads what it decodes by itself, Pillow what it is known to read right, nobody the rest.

| | grey, RGB; bits of a sample | planes | byte order | compression |
|---|---|---|---|---|
| tifffile | 1 (grey), 8, 16, 32, 64, whole, signed or float | together or apart | either | none, packbits, deflate |
| Pillow | 1, 2, 4 (grey), 8; 12 grey without compression | together; apart in RGB | either | all of libtiff's |
| | 16, of colour the upper 8; 32 grey | together | either; signed, 32 bits: little | those tifffile lacks |

Palettes, CMYK, YCbCr and L*a*b* are Pillow's: 8 bits, planes together. test_tiff.py compares each.
Source: TIFF 6.0; Adobe, TIFF Technical Notes 1 to 3.
"""

import logging
import math
import zlib
from contextlib import suppress
from pathlib import Path
from reprlib import repr as brief

import numpy as np
import tifffile
from PIL import Image
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, PREDICTOR

from sinefield.errors import require
from sinefield.signals.decoding import exif
from sinefield.signals.decoding.levels import laid_over, scaled, warn_unused, white_of

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is said by one error
_log = logging.getLogger(__name__)

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # that a file begins with; the last two of BigTIFF
_COLOURS: dict[int, int] = {PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.RGB: 3}
_PILLOWS_COLOURS = {*_COLOURS, PHOTOMETRIC.PALETTE, PHOTOMETRIC.SEPARATED, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB}
# What tifffile decodes without imagecodecs, so that the same files are read everywhere; LZMA could take any memory.
_DEFLATE = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
_DECODED = (COMPRESSION.NONE, COMPRESSION.PACKBITS, *_DEFLATE)
_ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
_MOST_EXTRA = 5  # samples of a pixel beside its colours
_SMALL = 2**26  # bytes that one part of a picture may always have
_CURE = "save it as PNG, or as a TIFF without compression, grey or RGB, of 8 or 16 bits"


def decode(file: Path, name: str, white: float | None, behind: float = 1.0) -> np.ndarray | None:
    """The first picture of a TIFF, which messages call `name`; None where Pillow is to read it. See `pixels.decode`.

    Raises:
        UserError: neither tifffile nor Pillow reads this layout right; or a value is out of range.
        Whatever else tifffile raises over a damaged file.
    """
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        if not _by_tifffile(page):
            readable = _by_pillow(page, tiff.byteorder)
            require(readable, f"{name} is a TIFF of a kind that is not read ({_kind(page)}); {_CURE}")
            return None
        _check_size(page, name, tiff.filehandle)
        with suppress(IndexError, tifffile.TiffFileError):
            tiff.pages[1]
            _log.warning("%s holds several frames; only the first is used", name)
        stored = page.asarray(squeeze=False, maxworkers=1)  # (planes, 1, H, W, samples): planes or samples is 1
        orientation, deep = page.tags.valueof("Orientation", 1), page.bitspersample > 8
    if white is not None and not deep:
        warn_unused(name)
    samples = np.moveaxis(stored[:, 0], 0, -1).reshape(*stored.shape[2:4], -1)
    colours, peak = _COLOURS[page.photometric], white_of(stored.dtype, page.bitspersample)
    value = scaled(samples[..., :colours], name, peak, white if deep else None)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        value = 1 - value
    for number, kind in enumerate(_extra(page), start=colours):
        if kind in _ALPHA:
            joined = kind == EXTRASAMPLE.ASSOCALPHA
            value = laid_over(value, samples[..., [number]] / peak, behind, premultiplied=joined)
            break
    return exif.upright(value, orientation if orientation in range(1, 9) else 1)


def _by_tifffile(page: tifffile.TiffPage) -> bool:
    """Whether tifffile reads this layout right."""
    bits, kind = page.bitspersample, page.sampleformat
    form = (bits in (8, 16, 32, 64) and kind in (1, 2)) or (bits in (16, 32, 64) and kind == 3)
    extra, colours = _extra(page), _COLOURS.get(page.photometric)
    return (
        colours is not None
        and page.dtype is not None
        and page.samplesperpixel == colours + len(extra) <= colours + _MOST_EXTRA
        and page.imagedepth == 1
        and (form or (bits == 1 and page.samplesperpixel == 1))
        and page.compression in _DECODED
        and (page.predictor == PREDICTOR.NONE or (page.predictor == PREDICTOR.HORIZONTAL and kind != 3 and bits > 1))
    )


def _by_pillow(page: tifffile.TiffPage, byteorder: str) -> bool:
    """Whether Pillow reads this layout right, or refuses it."""
    bits, kind, grey = page.bitspersample, page.sampleformat, _COLOURS.get(page.photometric) == 1
    together = page.planarconfig == PLANARCONFIG.CONTIG or page.samplesperpixel == 1
    subsampled = page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG
    if page.photometric not in _PILLOWS_COLOURS or page.imagedepth != 1 or page.samplesperpixel > 1 + _MOST_EXTRA:
        return False
    if bits in (1, 2, 4, 8):
        whole = page.tags.valueof("YCbCrSubSampling", (2, 2)) == (1, 1) if subsampled else True
        return kind == 1 and whole and (together or page.photometric == PHOTOMETRIC.RGB)
    if bits == 12:
        return kind == 1 and grey and page.samplesperpixel == 1 and page.compression == COMPRESSION.NONE
    if bits == 16:
        return together and page.photometric in _COLOURS and (kind == 1 or (kind == 2 and grey and byteorder == "<"))
    return bits == 32 and grey and page.samplesperpixel == 1 and byteorder == "<"  # else Pillow swaps the bytes twice


def _extra(page: tifffile.TiffPage) -> tuple[int, ...]:
    """What the samples are that follow the colours; in RGB a fourth of which nothing is said is transparency."""
    unsaid = page.photometric == PHOTOMETRIC.RGB and page.samplesperpixel == 4 and not page.extrasamples
    return (EXTRASAMPLE.UNASSALPHA,) if unsaid else page.extrasamples


def _check_size(page: tifffile.TiffPage, name: str, file: tifffile.FileHandle) -> None:
    """Refuse what would take much memory or is not all there, before any pixel is read."""
    pixels, limit = page.imagewidth * page.imagelength, Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > limit:
        raise Image.DecompressionBombError(f"Image size ({pixels} pixels) exceeds limit of {limit} pixels")
    assert page.dtype is not None  # of what `_by_tifffile` lets through
    whole, cut = pixels * page.samplesperpixel * page.dtype.itemsize, f"{name} is damaged or cut short; get it again"
    if page.is_contiguous:
        size = whole * page.bitspersample // (8 * page.dtype.itemsize)
        require(0 < page.dataoffsets[0] <= file.size - size, cut)
        return
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    inside = len(places) == math.prod(page.chunked) and all(n > 0 and 0 < at <= file.size - n for at, n in places)
    part = math.prod(page.chunks) * page.dtype.itemsize
    require(inside and part <= max(_SMALL, 4 * whole), cut)
    for at, length in places if page.compression in _DEFLATE else ():  # tifffile lets a part grow to what it says
        file.seek(at)
        inflated = zlib.decompressobj()
        inflated.decompress(file.read(length), part)
        larger = f"{name} is damaged (a part is larger inside than it says); get it again"
        require(not inflated.unconsumed_tail, larger)


def _kind(page: tifffile.TiffPage) -> str:
    """The layout in words; in a damaged file any of these numbers may be hundreds of them."""
    samples, bits, form = (brief(n) for n in (page.samplesperpixel, page.bitspersample, page.sampleformat))
    form = {"1": "unsigned", "2": "signed", "3": "float"}.get(form, f"sample format {form}")
    colours, packed = (getattr(n, "name", None) or brief(n) for n in (page.photometric, page.compression))
    planes = ", planes apart" if page.planarconfig == PLANARCONFIG.SEPARATE and samples != "1" else ""
    return f"{colours}, {samples} x {bits} bits, {form}{planes}, compression {packed}"
