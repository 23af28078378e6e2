"""Frames of a film in a file without a name, mapped into memory: written one after the other, read where they are seen.

The file lies in the system's temporary folder (the variable TMPDIR names another) and is gone with the process, however
that ends.
"""

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from itertools import chain

import numpy as np

from sinefield.errors import UserError, require
from sinefield.signals.decoding.levels import white_of

_KEPT = 2**28  # bytes that may be resident; of a larger film, what was read is let go before more would be


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
            with tempfile.TemporaryFile() as file:
                for frame in chain([first], frames):
                    file.write(np.ascontiguousarray(frame).data)
                    count += 1
                file.flush()
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise UserError(f"the decoded frames cannot be written to {where} ({error.strerror}); {cure}") from error
        self.shape, self.peak = (count, *first.shape), white_of(first.dtype)
        self._pixels = np.frombuffer(self._map, first.dtype).reshape(-1, first.shape[-1])

    def keep(self, count: int) -> None:
        """Forget what comes behind so many frames."""
        self.shape = (count, *self.shape[1:])
        self._pixels = self._pixels[: count * self.shape[1] * self.shape[2]]

    def __call__(self, *numbers: np.ndarray) -> np.ndarray:
        """(N, C) values from -1, black, to 1, white, float32, at numbers of frame, row and column, (N,) each."""
        places = np.ravel_multi_index(numbers, self.shape[:-1])
        most = _KEPT // mmap.PAGESIZE  # at worst each pixel lies in a page of its own
        parts = np.split(places, range(most, len(places), most))
        return np.concatenate([self._scaled(self._pixels[part]) for part in parts])

    def lattice(self, frames: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(t, h, w, C) values where t frames, h rows and w columns cross, float32."""
        every = self._pixels.reshape(self.shape)
        return np.stack([self._scaled(every[k][rows][:, columns]) for k in frames])

    def _scaled(self, stored: np.ndarray) -> np.ndarray:
        if self._pixels.nbytes > _KEPT:  # it stays in the system's cache, and is no longer resident here
            self._map.madvise(mmap.MADV_DONTNEED)
        return stored.astype(np.float32) * np.float32(2 / self.peak) - 1
