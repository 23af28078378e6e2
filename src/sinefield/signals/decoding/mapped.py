"""Pixels of an uncompressed TIFF, read where they are looked at through a memory map; the others stay in the file."""

import mmap
from pathlib import Path

import numpy as np
import tifffile

from sinefield.errors import UserError, positive, require
from sinefield.signals.decoding.levels import warn_unused, white_of
from sinefield.signals.decoding.source import DAMAGE, locate

_KEPT = 2**28  # bytes of a file that may stay resident; of a larger one, what a call has touched is let go after it
_CURE = "rewrite it as grey or RGB of 8 or 16 bits in tiles, as `vips tiffsave FILE NEW.tif --tile` does"


class Mapped:
    """The pixels of a TIFF or BigTIFF, grey or RGB, 8 or 16 bits per channel, in tiles or strips, not compressed.

    Attributes:
        shape: (H, W, C).
        peak, type: the stored value of white, of 16 bits as it is given or 65535; and the type of stored values.

    Raises:
        UserError: the file cannot be read in place.
    """

    def __init__(self, path: str | Path, white: float | None = None) -> None:
        white = None if white is None else positive("signal.white", white)
        file, name = locate(path), repr(str(path))
        try:
            with tifffile.TiffFile(file) as tiff:
                page = tiff.pages.first
                _plain(page, name)
                self.shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
                # Strips that follow one another are one tile as large as the picture.
                height, width = page.tile or self.shape[:2]
                kind = np.dtype(f"{tiff.byteorder}u{page.bitspersample // 8}")
                counts = [-(-n // side) for n, side in zip(self.shape, (height, width), strict=False)]
                start, size = page.dataoffsets[0], height * width * self.shape[2] * kind.itemsize
                in_order = page.is_contiguous or np.all(np.diff(page.dataoffsets) == size)
        except UserError:
            raise
        except DAMAGE as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{name} is no TIFF that can be mapped into memory ({reason}); {_CURE}") from error
        require(bool(in_order), f"{name} holds its tiles in no order; {_CURE}")
        parts = counts[0] * counts[1]
        require(file.stat().st_size >= start + parts * size, f"{name} is damaged or cut short; get it again")
        if white is not None and kind.itemsize == 1:
            warn_unused(name)
            white = None
        self.peak, self.type = white or white_of(kind), kind
        self._tile, self._across = (height, width), counts[1]
        with file.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._pixels = np.frombuffer(self._map, kind, parts * size // kind.itemsize, start).reshape(-1, self.shape[2])

    def __call__(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(N, a, b, C) stored values, float32, where N times `a` rows (N, a) and `b` columns (N, b) of pixels cross."""
        height, width = self._tile
        above = rows // height * (self._across * height * width) + rows % height * width
        beside = columns // width * (height * width) + columns % width
        # Nothing is out of range, and with "clip" numpy need not look twice.
        stored = np.take(self._pixels, above[:, :, None] + beside[:, None], axis=0, mode="clip").astype(np.float32)
        if self._pixels.nbytes > _KEPT:  # what was read stays in the system's cache, and is no longer resident here
            self._map.madvise(mmap.MADV_DONTNEED)
        return stored


def _plain(page: tifffile.TiffPage, name: str) -> None:
    """Refuse what would have to be decoded."""
    orientation = page.tags.get("Orientation")
    colours = {1: tifffile.PHOTOMETRIC.MINISBLACK, 3: tifffile.PHOTOMETRIC.RGB}
    for plain, what in (
        (page.compression == tifffile.COMPRESSION.NONE and page.predictor == 1, "is compressed"),
        (page.bitspersample in (8, 16) and page.sampleformat == 1, "is not of 8 or 16 bits per channel"),
        (page.photometric == colours.get(page.samplesperpixel), "is neither grey, 0 for black, nor RGB"),
        (page.samplesperpixel == 1 or page.planarconfig == 1, "keeps its colours in separate planes"),
        (orientation is None or orientation.value == 1, "lies on its side"),
    ):
        require(plain, f"{name} {what} and cannot be mapped into memory; {_CURE}")
