"""The EXIF orientation: how the stored rows and columns are to be turned for the picture to stand upright.

Read here, as Pillow gives up on an entry that is wrong and on those behind it. Nothing else of EXIF is looked at.
Source: EXIF 2.32, 4.6.4.A (orientation); TIFF 6.0, section 2 (a directory of 12-byte entries).
"""

import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

_ORIENTATION = 0x0112
_FORMS = {1: "B", 3: "H", 4: "I"}  # of a value, by its type: byte, short, long
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def orientation(info: Mapping[Any, Any]) -> int:
    """1 to 8, by what Pillow has read of a file beside the pixels, `Image.info`; 1, upright, where nothing says so.

    >>> orientation({"exif": b"II*" + struct.pack("<xIHHHIHxx", 8, 1, 0x0112, 3, 1, 6)})
    6
    """
    data, text = info.get("exif") or b"", info.get("Raw profile type exif")
    if not data and isinstance(text, str):  # hexadecimal digits after three lines, as older programs write into a PNG
        with suppress(ValueError):
            data = bytes.fromhex("".join(text.split("\n")[3:]))
    packet = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    match = _XMP.search(packet.encode() if isinstance(packet, str) else packet)
    return _of_exif(data) or (int(match[1]) if match else 1)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`pixels`, (H, W, C) as they are stored, turned: (H, W, C), or (W, H, C) for the orientations 5 to 8.

    >>> upright(np.array([[[1], [2], [3]]]), 6).ravel(), upright(np.array([[[1], [2], [3]]]), 6).shape
    (array([1, 2, 3]), (3, 1, 1))
    """
    if orientation >= 5:  # the stored rows are the columns
        pixels = pixels.swapaxes(0, 1)
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)  # to be reversed
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def _of_exif(data: bytes) -> int | None:
    """The orientation in a block of EXIF; None where none can be read."""
    data = re.sub(rb"^(Exif\0\0)+", b"", data)
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    entries = struct.unpack_from(f"{order}H", data, start)[0] if start + 2 <= len(data) else 0
    for at in range(start + 2, min(start + 2 + 12 * entries, len(data) - 11), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
        if tag == _ORIENTATION and kind in _FORMS and count == 1:
            (value,) = struct.unpack_from(order + _FORMS[kind], data, at + 8)
            return value if 1 <= value <= 8 else None
    return None
