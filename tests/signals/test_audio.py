"""A sound: what is read from a file, what its jet is, and what is refused."""

import numpy as np
import pytest
import soundfile
import torch
from discover import distance
from scipy import signal as processing
from scipy.interpolate import CubicSpline

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.signals import audio
from sinefield.signals.audio import Audio, composed

RATE = 8000


@pytest.fixture
def written(tmp_path):
    """Writes samples (n, C) as a file; its path."""

    def write(samples, name="x.wav", **options):
        path = tmp_path / name
        soundfile.write(path, samples, RATE, **options)
        return path

    return write


@pytest.fixture
def stereo():
    """0.5 s of two chirps, at most 0.4 loud."""
    time = np.arange(RATE // 2) / RATE
    return 0.4 * np.stack([processing.chirp(time, 100, 0.5, 900), 0.5 * np.cos(2 * np.pi * 440 * time)], axis=1)


class TestReading:
    @pytest.mark.parametrize(
        ("name", "options", "tolerance"),
        [
            ("x.wav", {"subtype": "FLOAT"}, 1e-6),
            ("x.wav", {"subtype": "PCM_16"}, 2e-4),
            ("x.flac", {"subtype": "PCM_24"}, 1e-6),
            ("x.ogg", {}, 0.1),
            ("x.mp3", {}, 0.1),
        ],
    )
    def test_samples_are_those_of_the_file_at_its_amplitude(self, written, stereo, name, options, tolerance):
        """Lossy formats are compared loosely; what they decode to is libsndfile's matter."""
        sound = Audio(written(stereo, name, **options))
        assert sound.channels == 2
        found = sound.samples().value.double().numpy() * sound.amplitude
        error = found[: len(stereo)] - stereo[: len(found)]
        assert np.sqrt(np.mean(error**2)) < tolerance * 0.4
        assert sound.samples().value.abs().max().item() == pytest.approx(1, abs=1e-5)
        assert sound.rate == RATE

    def test_a_part(self, written, stereo):
        path = written(stereo, subtype="DOUBLE")
        part = Audio(path, start=0.1, seconds=0.2)
        found = part.samples().value.double().numpy() * part.amplitude
        assert np.abs(found - stereo[800:2400]).max() < 1e-6
        assert part.seconds == pytest.approx(1599 / RATE)

    def test_mono_is_the_mean_of_the_channels(self, written, stereo):
        sound = Audio(written(stereo, subtype="DOUBLE"), mono=True)
        found = sound.samples().value.double().numpy() * sound.amplitude
        assert np.abs(found - stereo.mean(axis=1, keepdims=True)).max() < 1e-6

    @pytest.mark.parametrize("count", [1001, 1002])
    def test_held_out_samples_lie_between(self, written, stereo, count):
        sound = Audio(written(stereo[:count], subtype="DOUBLE"), holdout=True)
        assert sound.shape == (501,)
        fine = sound.held_out_grid()
        assert fine.shape == (1001, 2)
        assert np.abs(fine.double().numpy() * sound.amplitude - stereo[:1001]).max() < 1e-6
        assert distance(fine[::2], sound.samples().value) < 1e-5

    @pytest.mark.parametrize("holdout", [False, True])
    def test_a_smaller_size_is_resampled(self, written, holdout):
        """A tone far below both Nyquist rates is the same tone at a lower rate, but for the ends."""
        time = np.arange(RATE) / RATE
        path = written(np.cos(2 * np.pi * 50 * time), subtype="DOUBLE")
        sound = Audio(path, size=1000, holdout=holdout)
        assert sound.shape == (1000,)
        truth = sound.held_out_grid() if holdout else sound.samples().value
        assert len(truth) == (1999 if holdout else 1000)
        expected = np.cos(2 * np.pi * 50 * np.arange(len(truth)) / sound.rate)
        found = truth.squeeze(1).numpy() * sound.amplitude
        assert np.abs(found - expected)[20:-20].max() < 5e-3

    def test_a_sound_of_its_own(self):
        """With no path: the same every time, a few seconds, neither clipped nor silent."""
        first, again = Audio(), Audio()
        assert torch.equal(first.c, again.c)
        assert 2 < first.seconds < 5
        assert first.files == ()
        spectrum = np.abs(np.fft.rfft(composed()[:, 0])) ** 2
        loud = np.cumsum(spectrum) / spectrum.sum()
        low, high = (np.searchsorted(loud, part) / 3.0 for part in (0.1, 0.99))  # Hz
        assert low < 350
        assert 1000 < high < 8000


class TestJet:
    @pytest.mark.parametrize("degree", [3, 5])
    @pytest.mark.usefixtures("float64")
    def test_derivatives_are_those_of_its_values(self, degree):
        sound = Audio(size=40, degree=degree)
        x = torch.cat([sound.uniform(30, torch.Generator().manual_seed(0)), sound.grid()])
        expected = autograd_jet(lambda x: sound.jet(x, 0).value, x, order=2)
        for part, other in zip(sound.jet(x, order=2), expected, strict=True):
            assert distance(part, other) < 1e-10

    @pytest.mark.usefixtures("float64")
    def test_it_is_the_cubic_spline_away_from_the_ends(self, written, stereo):
        """SciPy's, whose ends are others: their influence falls by 0.27 per sample."""
        sound = Audio(written(stereo[:200], subtype="DOUBLE"))
        samples = sound.samples().value.numpy()
        reference = CubicSpline(np.linspace(-1, 1, 200), samples)
        x = torch.linspace(-0.5, 0.5, 77)[:, None]
        jet = sound.jet(x, order=2)
        parts = jet.value, jet.gradient.squeeze(-1), jet.laplacian
        for k, part in enumerate(parts):
            assert distance(part, torch.from_numpy(reference(x[:, 0].numpy(), k))) < 1e-9

    def test_single_precision_meets_the_samples_of_a_long_sound(self, written):
        """A coordinate is off by some hundredth of a sample; at the samples, and midway, it is taken as meant."""
        noise = np.random.default_rng(0).uniform(-1, 1, 2**20 + 1)
        sound = Audio(written(noise, subtype="FLOAT"), holdout=True)
        assert sound.extent.dtype == torch.float32
        last = torch.arange(len(sound) - 500, len(sound))
        assert distance(sound.jet(sound.grid(last), 0).value, sound.held_out_grid()[::2][-500:]) < 1e-5
        between = sound.pixels(sound.grid(2 * last[:-1] + 1, upsampling=2))
        assert torch.equal(between, last[:-1, None].double() + 0.5)


class TestRefused:
    """One line that says what and how."""

    def test_what_is_no_sound(self, tmp_path):
        (tmp_path / "x.wav").write_text("hello")
        with pytest.raises(UserError, match=r"x\.wav cannot be read as a sound .*convert it"):
            Audio(tmp_path / "x.wav")

    def test_no_file(self, tmp_path):
        with pytest.raises(UserError, match="there is no"):
            Audio(tmp_path / "x.wav")
        with pytest.raises(UserError, match="is no file"):
            Audio(tmp_path)

    def test_an_empty_file(self, written):
        with pytest.raises(UserError, match="is empty"):
            Audio(written(np.zeros((0, 1))))

    def test_silence(self, written):
        with pytest.raises(UserError, match="is silent throughout"):
            Audio(written(np.zeros((100, 2))))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("size", [None, 50])
    def test_not_finite(self, written, bad, size):
        samples = np.ones((100, 1))
        samples[40] = bad
        with pytest.raises(UserError, match="not finite"):
            Audio(written(samples, subtype="FLOAT"), size=size)

    def test_too_short(self, written):
        path = written(np.ones((6, 1)))
        assert len(Audio(path)) == 6
        with pytest.raises(UserError, match="6 samples are too few, 7 are needed"):
            Audio(path, holdout=True)

    def test_too_long(self, written, monkeypatch):
        monkeypatch.setattr(audio, "MOST", 99)
        path = written(np.ones((100, 1)))
        with pytest.raises(UserError, match=r"100 samples are too many.*signal\.seconds"):
            Audio(path)
        assert len(Audio(path, size=99)) == 99

    @pytest.mark.parametrize(
        ("knobs", "said"),
        [
            ({"start": 9.0}, "behind the end"),
            ({"start": -1.0}, "signal.start"),
            ({"seconds": 0.0}, "signal.seconds"),
            ({"seconds": 1e-4}, "too few"),
            ({"degree": 4}, "signal.degree"),
            ({"size": 2}, "signal.size"),
        ],
    )
    def test_knobs(self, knobs, said):
        with pytest.raises(UserError, match=said):
            Audio(**knobs)
