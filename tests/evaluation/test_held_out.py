"""Scores between the samples of held-out pictures: 0 dB for the spline, and what PSNR says for another field."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from sinefield.activations.sine import Sine
from sinefield.core.jet import Jet, joined
from sinefield.errors import UserError
from sinefield.evaluation.patches import HeldOut
from sinefield.fields.local_prior import LocalPrior
from sinefield.fields.mlp import CoordinateMLP
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.signals.analytic import Analytic
from sinefield.signals.patches import Patches

pytestmark = pytest.mark.usefixtures("float64")
LOSS = Loss({"value": Value()})


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    paths = [str(folder / f"{name}.png") for name in "abc"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (48, 60), dtype=np.uint8)).save(path)
    return Patches(paths[:1], paths[1:], size=8, margin=6, points=32).double()


class Truth:
    """The truth itself, less a tenth of what the spline lacks."""

    def __init__(self, signal, share):
        self.signal, self.share = signal, share

    def jet(self, x, order):
        parts = zip(self.signal.jet(x, order).parts, self.signal.seen_spline(x, order).parts, strict=True)
        return Jet(*(truth + self.share * (spline - truth) for truth, spline in parts))


def test_the_spline_gains_nothing_and_a_tenth_of_its_error_20_db(signal):
    evaluation = HeldOut(signal, LOSS)
    for share, gain in ((1.0, 0.0), (0.1, 20.0)):
        field = Truth(signal, share)
        values = joined([field.jet(x, 0) for x in evaluation.points()]).value
        scores = {**evaluation.scores(values), **evaluation.final(field)}
        for key in ("gain", "gain_worst", "gain_gradient", "gain_laplacian"):
            assert scores[key] == pytest.approx(gain, abs=1e-6)
        assert scores["psnr_off_grid"] - scores["psnr_off_grid_spline"] == pytest.approx(gain, abs=1e-6)


def test_psnr_is_that_of_the_pixels_between(signal):
    """Of all tiles of a picture, by NumPy from the files."""
    evaluation = HeldOut(signal, LOSS, tiles=None)
    errors = {number: [] for number in signal.held_out}
    for x in evaluation.points():
        n = signal.side
        between = np.ones((n, n), dtype=bool)
        between[::2, ::2] = False
        truth = signal.jet(x, 0).value.reshape(n, n).numpy()
        errors[int(x[0, 2])].append(np.square(0.5 - truth)[between].mean())
    values = torch.full((sum(len(x) for x in evaluation.points()), 1), 0.5)
    expected = np.mean([10 * math.log10(4 / np.mean(each)) for each in errors.values()])
    assert evaluation.scores(values)["psnr_off_grid"] == pytest.approx(expected, abs=1e-9)


def test_it_draws_one_sheet(signal, tmp_path):
    base = CoordinateMLP(2, 1, width=4, depth=0, activation=Sine())
    field = LocalPrior(base, features=4, depth=2)
    signal.show(field)
    evaluation = HeldOut(signal, LOSS, tiles=2)
    paths = evaluation.draw(tmp_path, field, {"gain": 1.0, "gain_gradient": None, "gain_laplacian": 0.5})
    assert list(paths) == ["between"]
    pixels = np.asarray(Image.open(paths["between"]))
    assert pixels.std() > 20


def test_other_signals_are_refused(signal):
    with pytest.raises(UserError, match="for signal=patches"):
        HeldOut(Analytic(), LOSS)
    alone = Patches(signal.files[:1], size=8, margin=6)
    with pytest.raises(UserError, match="held_out is empty"):
        HeldOut(alone, LOSS)


def test_a_run_resumes_bit_for_bit_and_becomes_a_file(fit, tmp_path, monkeypatch):
    """4 steps, and 2 with 2 more: the same weights. scripts/prior.py makes them one file that a picture takes."""
    from conftest import CONF, small
    from hydra import compose, initialize_config_dir

    from sinefield.runs.loading import load
    from sinefield.runs.train import train
    from sinefield.scripts.prior import main
    from sinefield.signals.image import Image as Picture

    torch.set_default_dtype(torch.float32)
    chosen = ["experiment=prior/between", *small("experiment/prior/between", tmp_path), "logger=none"]
    chosen += ["scheduler.T_max=4"]  # of the whole run, from the start
    whole = fit(*chosen, "trainer.max_steps=4", folder="whole")
    half = fit(*chosen, folder="half")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        longer = compose("train", [*chosen, "trainer.max_steps=4"])
    train(longer, half["folder"], resume=True)
    states = [load(folder).state_dict() for folder in (whole["folder"], half["folder"])]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    monkeypatch.chdir(tmp_path)
    main([f"run={whole['folder']}", "out=mine.npz"])
    picture = Picture("skimage:text", size=40, prior="mine.npz")
    assert picture.prior
    assert picture.files == ("skimage:text", "mine.npz")
    with pytest.raises(UserError, match=r"must end in \.npz"):
        main([f"run={whole['folder']}", "out=mine.zip"])
