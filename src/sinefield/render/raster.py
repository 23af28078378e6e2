"""Picture files written from top to bottom, in memory that does not grow with the picture: PNG, TIFF and NPY.

The PNG encoder is its own because Pillow holds a whole picture to save it, 768 MB for 16k × 16k pixels in colour, and
writes no PNG with 16 bits of colour; np.lib.format.open_memmap would leave the whole array resident.
Every writer takes the file, the picture as bands (rows, W, ...) of `dtype`, its shape (H, W, ...), and words about it.
"""

import struct
import zlib
from collections.abc import Collection, Iterable
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile

from sinefield.errors import require

Bands = Iterable[np.ndarray]
Shape = tuple[int, ...]


def write_png(file: BinaryIO, bands: Bands, shape: Shape, dtype: np.dtype, about: str) -> None:
    """A PNG of uint8 or uint16: (H, W, 1) is grey, (H, W, 3) colour; `about` becomes its text chunk `Description`.

    Every byte is taken less the one above it, modulo 256 (the filter Up), and deflated as it comes.
    Source: www.w3.org/TR/png-3, sections 5, 9.2 and 11.2.
    """

    def chunk(name: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))

    height, width, channels = shape
    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * dtype.itemsize, {1: 0, 3: 2}[channels], 0, 0, 0))
    chunk(b"tEXt", b"Description\0" + about.encode("latin-1", "replace"))
    deflate, above = zlib.compressobj(), np.zeros((1, width * channels * dtype.itemsize), np.uint8)
    for band in bands:
        rows = band.astype(dtype.newbyteorder(">")).view(np.uint8).reshape(len(band), -1)
        less_above = np.diff(rows, axis=0, prepend=above)
        above = rows[-1:]
        filtered = np.insert(less_above, 0, 2, axis=1).data  # each row starts with its filter: 2 is Up
        chunk(b"IDAT", deflate.compress(filtered))
    chunk(b"IDAT", deflate.flush())
    chunk(b"IEND", b"")


def write_tiff(file: BinaryIO, bands: Bands, shape: Shape, dtype: np.dtype, about: str) -> None:
    """A TIFF of (H, W, C), RGB where C = 3; axes behind the second become one. A BigTIFF from 4 GB on."""
    channels = prod(shape[2:])
    tifffile.imwrite(
        file,
        (row.tobytes() for band in bands for row in band),
        shape=(*shape[:2], channels) if channels > 1 else shape[:2],
        dtype=dtype,
        rowsperstrip=1,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        bigtiff=prod(shape) * dtype.itemsize > 2**32 - 2**25,  # less the tables of strips
        description=about.encode(),
        metadata=None,
    )


def write_npy(file: BinaryIO, bands: Bands, shape: Shape, dtype: np.dtype, about: str) -> None:
    """An array for `numpy.load`, of the shape given; there is no room in it for `about`."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for band in bands:
        file.write(band.tobytes())


# By the ending of a file's name: who writes it.
WRITERS = {".png": write_png, ".tif": write_tiff, ".tiff": write_tiff, ".npy": write_npy}


def target(path: str | Path, endings: Collection[str] = WRITERS) -> Path:
    """`path`, which must be that of a file that can be written."""
    path = Path(path)
    require(path.suffix.lower() in endings, f"{str(path)!r} must end in {', '.join(endings)}")
    require(path.parent.is_dir(), f"there is no folder {path.parent}; make it first")
    require(not path.is_dir(), f"{path} is a folder; give the name of a file")
    return path
