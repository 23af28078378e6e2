"""A film of high definition is never in memory as a whole."""

import subprocess
import sys

import av
import numpy as np
import pytest

PROGRAM = """
import sys, torch
from sinefield.signals.video import Video
from sinefield.training.environment import resident
signal = Video(sys.argv[1], size=None)
generator = torch.Generator().manual_seed(0)
for count in [8192] * 20 + [2**19]:  # a step's, and as many at once as an evaluation asks for
    numbers = torch.randint(len(signal), (count,), generator=generator)
    assert signal.jet(signal.grid(numbers), 0).value.isfinite().all()
signal.mean_squares(0)
# Of this process alone: the kernel counts ru_maxrss from the parent's on, which is the test worker's.
print(len(signal), resident("VmHWM") // 2**20)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_a_film(tmp_path):
    """10 s of 1920 x 1080 at 24 frames a second, 1.5 GB as bytes and 6 GB as floats: 0.6 GB at most, with torch."""
    picture = np.random.default_rng(0).integers(0, 255, (68, 120, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)[:1080]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for k in range(240):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(picture, 8 * k, axis=1)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.mp4")]
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True)
    count, megabytes = map(int, done.stdout.split())
    assert count == 120 * 540 * 960
    assert megabytes < 600
