"""Frames of a film in a file without a name: written one after the other, read where they are seen.

A small film is mapped into memory. Of a larger one each pixel is read by itself: the kernel maps up to 2 MB around each
pixel of a map that is touched, and 8,192 pixels took 1.4 GB. The file lies in the system's temporary folder (the
variable TMPDIR names another) and is gone with the process, however that ends.
"""

import math
import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from itertools import chain

import numpy as np

from sinefield.errors import UserError, require
from sinefield.signals.decoding.levels import white_of

_SMALL = 2**28  # bytes that may be resident


class Frames:
    """(T, H, W, C) of uint8 or uint16.

    Args:
        frames: (H, W, C) each, all of one shape and type; one at a time is in memory.
        most: how many there will be; room for so many is looked for before the first is written.

    Attributes:
        shape: (T, H, W, C).

    Raises:
        UserError: the temporary folder has no room for them.
    """

    def __init__(self, frames: Iterator[np.ndarray], most: int) -> None:
        first = next(frames, None)
        require(first is not None, "a film needs a frame")
        assert first is not None
        size, free, where = most * first.nbytes, shutil.disk_usage(tempfile.gettempdir()).free, tempfile.gettempdir()
        cure = "take less, signal.seconds or signal.size, or set TMPDIR to a folder with room"
        said = f"the decoded frames take {size / 2**20:,.0f} MiB, and {where} has {free / 2**20:,.0f}; {cure}"
        require(size < free, said)
        count = 0
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            for frame in chain([first], frames):
                self._file.write(np.ascontiguousarray(frame).data)
                count += 1
            self._file.flush()
        except OSError as error:
            raise UserError(f"the decoded frames cannot be written to {where} ({error.strerror}); {cure}") from error
        self.shape, self.peak = (count, *first.shape), white_of(first.dtype)
        self._type, self._map = first.dtype, None
        if count * first.nbytes <= _SMALL:
            self._map = np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), first.dtype)

    def keep(self, count: int) -> None:
        """Forget what comes behind so many frames."""
        self.shape = (count, *self.shape[1:])

    def __call__(self, *numbers: np.ndarray) -> np.ndarray:
        """(N, C) values from -1, black, to 1, white, float32, at numbers of frame, row and column, (N,) each."""
        return self._read(np.ravel_multi_index(numbers, self.shape[:-1]), self.shape[-1:])

    def lattice(self, frames: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(t, h, w, C) values where t frames, h rows and w columns cross, float32."""
        return np.stack([self._read(np.array([k]), self.shape[1:])[0][rows][:, columns] for k in frames])

    def _read(self, places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """(N, *shape), the parts of this shape with these numbers (N,)."""
        if self._map is not None:
            stored = self._map.reshape(-1, *shape)[places]
        else:
            size = self._type.itemsize * math.prod(shape)
            parts = [os.pread(self._file.fileno(), size, size * place) for place in places.tolist()]
            stored = np.frombuffer(b"".join(parts), self._type).reshape(-1, *shape)
        return stored.astype(np.float32) * np.float32(2 / self.peak) - 1
