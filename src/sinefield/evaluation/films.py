"""Films as files, written frame by frame in memory that does not grow with their length: MP4, H.264."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sinefield.system.files import atomic_write


def write_film(path: Path, frames: Iterable[np.ndarray], rate: float, repeat: int = 1, least: int = 256) -> None:
    """Write a film that is there as a whole or not at all, whatever ends the writing.

    Args:
        path: of the file.
        frames: (H, W, 3) of uint8 each, all of one size; a last row or column of an odd number is left out.
        rate: frames per second.
        repeat: how often each is shown.
        least: pixels along the longest side: smaller frames are enlarged by a whole number.
    """
    with atomic_write(path) as file, av.open(file, "w", format="mp4") as container:
        pace = Fraction(rate).limit_denominator(100_000)
        stream = container.add_stream("libx264", rate=pace, options={"crf": "20", "preset": "fast"})
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            enlarged = max(1, -(-least // max(frame.shape[:2])))
            picture = frame.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
            picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]  # the format wants even sides
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            encoded = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            for _ in range(repeat):
                container.mux(stream.encode(encoded))
        container.mux(stream.encode(None))
