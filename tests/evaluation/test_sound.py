"""Scores of a sound, and the files that are drawn of it."""

from io import BytesIO

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import nn

from sinefield.errors import UserError
from sinefield.evaluation.sound import Sound
from sinefield.evaluation.sound_pictures import loudest, spectrograms, waveforms
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.signals.analytic import Analytic
from sinefield.signals.audio import Audio

RATE = 8000
LOSS = Loss({"value": Value()})


@pytest.fixture
def path(tmp_path):
    """A quiet stereo file of 0.25 s: 200 and 1500 Hz, 0.1 loud."""
    time = np.arange(RATE // 4) / RATE
    samples = 0.1 * np.stack([np.cos(2 * np.pi * 200 * time), np.cos(2 * np.pi * 1500 * time)], axis=1)
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="DOUBLE")
    return tmp_path / "x.wav"


class Scaled(nn.Module):
    """A field that is its signal times a factor."""

    def __init__(self, signal, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.signal = signal

    def forward(self, x):
        return self.factor * self.signal.jet(x, 0).value


class TestScores:
    @pytest.mark.parametrize("holdout", [False, True])
    def test_noise_of_a_known_power(self, path, holdout):
        """snr and mse by NumPy, on the samples and between them."""
        signal = Audio(path, holdout=holdout)
        evaluation = Sound(signal, LOSS)
        truth = signal.held_out_grid() if holdout else signal.samples().value
        assert sum(map(len, evaluation.points())) == len(truth)
        noise = 0.01 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
        noise[1::2] *= 10 if holdout else 1
        found = evaluation.scores(truth + noise)
        step = 2 if holdout else 1
        s, n = (part.double().numpy() for part in (truth, noise))
        on = 10 * np.log10(np.sum(s[::step] ** 2) / np.sum(n[::step] ** 2))
        assert found["snr"] == pytest.approx(on, abs=1e-3)
        assert found["mse"] == pytest.approx(np.mean(n[::step] ** 2), rel=1e-4)
        off = 10 * np.log10(np.sum(s[1::2] ** 2) / np.sum(n[1::2] ** 2))
        assert found["snr_off_grid"] == (pytest.approx(off, abs=1e-3) if holdout else None)

    def test_a_field_that_is_off_by_a_tenth(self, path):
        """20 dB, whatever the sound."""
        signal = Audio(path)
        evaluation = Sound(signal, LOSS)
        values = torch.cat([1.1 * signal.jet(x, 0).value for x in evaluation.points()])
        assert evaluation.scores(values)["snr"] == pytest.approx(20, abs=1e-3)

    def test_of_the_spline_between_the_samples(self, path):
        """Known where samples are held out: good for these tones at half the rate, and worse for the higher one."""
        assert Sound(Audio(path), LOSS).references() == {"snr_off_grid_spline": None}
        both = Sound(Audio(path, holdout=True), LOSS).references()["snr_off_grid_spline"]
        assert 15 < both < 40

    def test_the_watched_score_is_the_ratio(self, path):
        evaluation = Sound(Audio(path), LOSS)
        assert evaluation.described()["monitor"] == {"name": "snr", "direction": "max", "unit": "dB"}
        names = evaluation.scores(torch.cat([Audio(path).jet(x, 0).value for x in evaluation.points()]))
        assert {*names, *evaluation.references()} == {score.key for score in evaluation.shown}

    def test_is_for_sounds(self):
        with pytest.raises(UserError, match="signal=audio"):
            Sound(Analytic(size=8), LOSS)


class TestDrawn:
    @pytest.mark.parametrize("holdout", [False, True])
    def test_files(self, path, tmp_path, holdout):
        """The WAV is the file's sound at its own rate and amplitude, as loud as the field is."""
        signal = Audio(path, holdout=holdout)
        evaluation = Sound(signal, LOSS)
        field = Scaled(signal, 0.5)
        values = torch.cat([field(x).detach() for x in evaluation.points()])
        files = evaluation.draw(tmp_path, field, evaluation.scores(values))
        assert {*files} == {"waveform", "spectrogram", "ground_truth", "reconstruction"}
        original, _ = soundfile.read(path)
        heard, rate = soundfile.read(files["reconstruction"])
        assert rate == RATE
        assert np.abs(heard[::2] - 0.5 * original[: len(heard) : 2]).max() < 1e-6
        truth, rate = soundfile.read(files["ground_truth"])
        assert np.abs(truth - original[: len(truth)]).max() < 1e-6
        assert not list(tmp_path.glob(".*"))
        for name in ("waveform", "spectrogram"):
            picture = np.asarray(Image.open(files[name]).convert("RGB"))
            assert min(picture.shape[:2]) > 300
            assert picture.std() > 10

    def test_louder_than_full_scale_is_not_clipped(self, path, tmp_path):
        signal = Audio(path)
        Sound(signal, LOSS).draw(tmp_path, Scaled(signal, 30.0), {})
        heard, _ = soundfile.read(tmp_path / "reconstruction.wav")
        assert np.abs(heard).max() == pytest.approx(3.0, rel=1e-5)

    def test_a_spectrogram_shows_where_a_tone_is(self):
        """A tone of a quarter of the rate lies in the middle between 0 and the Nyquist frequency."""
        time = np.arange(RATE) / RATE
        tone = np.cos(2 * np.pi * RATE / 4 * time)[:, None]
        picture = np.asarray(Image.open(BytesIO(spectrograms(tone, 0 * tone, RATE, ""))).convert("L"), dtype=float)
        column = picture[: 3 * picture.shape[0] // 10, picture.shape[1] // 3]
        inside = np.flatnonzero(column < 250)[4:-4]  # the page is white, the frame grey
        panel = column[inside[0] : inside[-1]]
        assert panel.argmax() == pytest.approx(len(panel) / 2, abs=0.05 * len(panel))
        assert np.count_nonzero(panel > 150) < 0.1 * len(panel)

    @pytest.mark.parametrize("count", [4, 40])
    def test_very_short_and_not_finite(self, count):
        sound = np.linspace(-1, 1, count)[:, None]
        broken = sound.copy()
        broken[1] = np.nan
        assert waveforms(sound, broken, RATE, "caption").startswith(b"\x89PNG")
        assert spectrograms(sound, broken, RATE, "caption").startswith(b"\x89PNG")

    def test_the_loudest_place(self):
        sound = np.zeros((100, 2))
        sound[60:70, 1] = 1
        assert loudest(sound, 10) == (60, 70)
        assert loudest(sound, 100) == (0, 100)
