"""Scores of films, against their rivals, and what is left to be seen."""

import math

import av
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import make_interp_spline
from torch import nn

from sinefield.errors import UserError
from sinefield.evaluation import dense
from sinefield.evaluation.film import Film
from sinefield.losses.base import Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.value import Value
from sinefield.signals.analytic import Analytic
from sinefield.signals.video import Video

LOSS = Loss({"value": Value()})


class Off(nn.Module):
    """A field that is the drawn film plus an error where `wrong` says so of x."""

    def __init__(self, signal, error, wrong=lambda x: torch.ones(len(x), 1)):
        super().__init__()
        self.head = nn.Linear(1, 1)
        self.signal, self.error, self.wrong = signal, error, wrong

    def forward(self, x):
        return self.signal.jet(x, 0).value + self.error * self.wrong(x)


@pytest.fixture(scope="module")
def film():
    return Video(size=12, seconds=0.4)


def during(evaluation, field):
    return evaluation.scores(torch.cat([field(x) for x in evaluation.points()]))


def test_of_a_field_that_is_off_by_a_tenth(film):
    """20 log10(2 / 0.1) dB everywhere, during the run as at the end."""
    evaluation = Film(film, LOSS)
    for found in (during(evaluation, Off(film, 0.1)), evaluation.final(Off(film, 0.1))):
        for key in ("psnr", "psnr_raw", "psnr_off_grid", "psnr_between_frames"):
            assert found[key] == pytest.approx(20 * math.log10(20), abs=1e-3)


def test_held_out_frames_have_a_score_of_their_own(film):
    """An error in the frames between alone is none on the samples."""
    frame = film.extent[2] / (film.shape[0] - 1)

    def between(x):
        return (((x[:, 2:] + film.extent[2]) / frame).round() % 2).abs()

    found = Film(film, LOSS).final(Off(film, 0.1, between))
    assert found["psnr"] > 100
    assert found["psnr_off_grid"] > 100
    assert found["psnr_between_frames"] == pytest.approx(20 * math.log10(20), abs=1e-3)


def test_the_rivals(film):
    """The mean of the two neighbours, and SciPy's not-a-knot spline along time, at the pixels trained on."""
    fine = film.held_out_grid().double().numpy()[:, ::2, ::2]
    known, held = fine[::2], fine[1::2]
    spline = make_interp_spline(np.arange(len(known)), known, k=3)(np.arange(len(held)) + 0.5)
    found = Film(film, LOSS).references()
    for name, guess in (("blend", (known[1:] + known[:-1]) / 2), ("cubic", spline)):
        expected = 10 * math.log10(4 / np.square(guess - held).mean())
        assert found[f"psnr_between_frames_{name}"] == pytest.approx(expected, abs=1e-3)


def test_all_frames_are_scored_though_few_of_their_pixels(film, monkeypatch):
    monkeypatch.setattr(dense, "_DURING", 400)
    evaluation = Film(film, LOSS)
    frames, rows, columns = evaluation.numbers(400)
    assert frames.tolist() == list(range(2 * film.shape[0] - 1))
    assert len(frames) * len(rows) * len(columns) <= 400
    assert rows[1] % 2 == 1
    assert during(evaluation, Off(film, 0.1))["psnr_between_frames"] == pytest.approx(20 * math.log10(20), abs=1e-3)


def test_what_the_gradient_leaves_free_is_taken_off(film):
    """A constant of each channel."""
    found = Film(film, Loss({"gradient": Gradient()})).final(Off(film, 0.5))
    assert found["psnr_raw"] == pytest.approx(20 * math.log10(4), abs=1e-3)
    assert found["psnr"] > 100
    assert found["psnr_between_frames"] > 100


def test_nothing_between_where_nothing_is_held_out():
    evaluation = Film(Video(size=8, seconds=0.3, holdout=False), LOSS)
    found = during(evaluation, Off(evaluation.signal, 0.1)) | evaluation.references()
    assert [key for key, value in found.items() if value is not None] == ["psnr", "psnr_raw"]


def test_other_signals_are_refused():
    with pytest.raises(UserError, match="take evaluation=picture"):
        Film(Analytic(size=8), LOSS)


def test_files(film, tmp_path):
    """Two films with all frames, held-out ones included, that play; pictures; nothing half-written."""
    evaluation, field = Film(film, LOSS), Off(film, 0.1)
    scores = evaluation.final(field) | evaluation.references()
    files = evaluation.draw(tmp_path, field, scores)
    assert set(files.values()) == set(tmp_path.iterdir())
    for name, wide in (("reconstruction", 23), ("comparison", 3 * 23)):
        with av.open(str(files[name])) as container:
            shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert container.streams.video[0].average_rate == film.rate
        assert len(shown) == 2 * film.shape[0] - 1
        enlarged = -(-256 // wide)
        assert shown[0].shape[1] == wide * enlarged // 2 * 2
    expected = 127.5 * (1.1 + film.held_out_grid()[4, 8, 11].numpy())
    assert (
        np.abs(np.median(shown[4][8 * enlarged : 9 * enlarged, 34 * enlarged : 35 * enlarged], (0, 1)) - expected).max()
        < 16
    )
    with Image.open(files["ground_truth"]) as picture:
        assert picture.size == (23, 17)
