"""Scores of a field against a classical solution, and what is drawn of it."""

import av
import numpy as np
import pytest
import torch
from discover import build
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.evaluation.wavefield import Wavefield
from sinefield.evaluation.wavefield_pictures import film, scale
from sinefield.losses.base import Loss
from sinefield.losses.initial import Initial
from sinefield.losses.wave import Wave as WaveTerm
from sinefield.runs.loading import load
from sinefield.signals.analytic import Analytic
from sinefield.signals.eikonal import Eikonal
from sinefield.signals.heat import Heat
from sinefield.signals.wave import Wave

LOSS = Loss({"initial": Initial()})


class Scaled(nn.Module):
    """A field that is the classical solution times a factor."""

    def __init__(self, signal, factor):
        super().__init__()
        self.head = nn.Linear(1, 1)
        self.signal, self.factor = signal, factor

    def forward(self, x):
        return self.factor * self.signal.jet(x, 0).value

    def jet(self, x, order, operators):
        return autograd_jet(self, x, order, operators).map(torch.detach)


def values(evaluation, field):
    return torch.cat([field(x) for x in evaluation.points()])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Wave(size=9, frames=5, std=0.3),
        lambda: Wave(space=1, size=9, frames=5, std=0.3),
        lambda: Heat(size=12, frames=6, std=0.2),
        lambda: Eikonal(8, medium="uniform"),
    ],
)
def test_a_field_that_is_off_by_a_tenth(make):
    """0.1, whatever the problem; nothing is off where the field is the solution."""
    signal = make()
    evaluation = Wavefield(signal, LOSS)
    found = evaluation.scores(values(evaluation, Scaled(signal, 1.1)))
    assert found["relative_l2"] == pytest.approx(0.1, rel=1e-4)
    assert found["relative_max"] == pytest.approx(0.1, rel=1e-4)
    assert evaluation.scores(values(evaluation, Scaled(signal, 1.0)))["relative_l2"] < 1e-6
    assert evaluation.monitor.key == "relative_l2"
    assert evaluation.monitor.direction == "min"


def test_the_error_of_arrivals_is_of_times():
    """A mean slowness that is off by 0.1 everywhere is off by 0.1 times the distance, in all by 0.1 of a time."""
    signal = Eikonal(8, (0.2, 0.1), "uniform")
    evaluation = Wavefield(signal, LOSS)
    noise = torch.rand(64, 1, generator=torch.Generator().manual_seed(0))
    found = evaluation.scores(values(evaluation, Scaled(signal, 1.0)) + noise)
    away = np.linalg.norm(evaluation.points()[0].numpy() - np.array([0.2, 0.1]), axis=1)
    expected = np.linalg.norm(away * noise[:, 0].numpy()) / np.linalg.norm(away)
    assert found["relative_l2"] == pytest.approx(expected, rel=1e-4)


def test_files_of_a_wave(tmp_path):
    """A picture of frames, one of residuals, and a film that plays; nothing half-written is left."""
    signal = Wave(size=16, frames=7, std=0.3)
    evaluation = Wavefield(signal, LOSS, WaveTerm(space=2))
    field = Scaled(signal, 0.9)
    files = evaluation.draw(tmp_path, field, evaluation.scores(values(evaluation, field)))
    assert {*files} == {"frames", "residual", "film"}
    assert not list(tmp_path.glob(".*"))
    for name in ("frames", "residual"):
        picture = np.asarray(Image.open(files[name]).convert("RGB"))
        assert picture.shape[1] > 600
        assert picture.std() > 5
    assert files["film"].stat().st_size < 500_000


@pytest.mark.parametrize("make", [lambda: Wave(space=1, size=9, frames=5, std=0.3), lambda: Eikonal(8)])
def test_a_plane_of_all_is_one_picture(make, tmp_path):
    """Place and time, or the plane: no film."""
    evaluation = Wavefield(make(), LOSS)
    assert {*evaluation.draw(tmp_path, Scaled(evaluation.signal, 1.0), {})} == {"frames"}


def test_frames_are_where_and_when_they_are(tmp_path):
    """A field that is x + 10 y + 100 t is drawn with x to the right, y down, and t from frame to frame."""
    signal = Wave(size=9, frames=5, std=0.3)
    evaluation = Wavefield(signal, LOSS)
    found = evaluation._frames(values(evaluation, lambda x: x @ torch.tensor([[1.0], [10.0], [100.0]])))
    assert found.shape == (5, 9, 9)
    for axis, slope in ((2, 0.25), (1, 2.5), (0, 25.0)):
        assert np.diff(found, axis=axis) == pytest.approx(slope, rel=1e-4)


def test_a_film_shows_its_frames(tmp_path):
    """Thirty a second, two seconds of it, even sides, the panels beside each other in their colours."""
    panel = np.zeros((5, 7, 9))
    panel[3:] = 1.0
    film(tmp_path / "film.mp4", [panel, -panel], [1.0, 1.0])
    with av.open(str(tmp_path / "film.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    assert rate == 30
    assert len(frames) == 60
    first, last = frames[0].astype(int), frames[-1].astype(int)
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    h, w, _ = last.shape
    assert abs(first - 247).max() < 12  # white is nothing
    assert last[h // 2, w // 4, 0] > last[h // 2, w // 4, 2] + 50  # red is above
    assert last[h // 2, 3 * w // 4, 2] > last[h // 2, 3 * w // 4, 0] + 50  # blue below


def test_the_start_does_not_set_the_scale():
    """It is far above what follows."""
    assert scale(np.array([[[9.0]], [[1.0]], [[-2.0]]])) == 2
    assert scale(np.array([[[9.0]]])) == 9


def test_is_for_solutions():
    with pytest.raises(UserError, match="signal=wave"):
        Wavefield(Analytic(size=8), LOSS)
    with pytest.raises(UserError, match=r"evaluation\.residual"):
        Wavefield(Heat(size=12, frames=6), LOSS, "heat")


LINE = ["signal.space=1", "signal.size=32", "signal.frames=9", "signal.std=0.1", "trainer.accelerator=cpu"]


@pytest.mark.parametrize(
    ("choices", "most"),
    [
        (["signal=wave", *LINE], 0.006),
        (["signal=wave", *LINE, "signal.medium=square", "signal.velocity=[1.0]", "signal.extent=1.5"], 0.02),
        (["signal=wave", *LINE, "signal.border=fixed"], 0.006),
        (["signal=heat", "signal.size=32", "signal.frames=9", "encoding.frequencies=200", "encoding.highest=6"], 0.01),
        (["signal=poisson", "signal.size=24", "encoding.frequencies=600", "encoding.highest=7"], 0.01),
    ],
)
def test_a_run_solves_its_equation(choices, most, fit):
    """By one step of least squares; and the field that is loaded from its folder is the one that was scored."""
    found = fit(*choices)
    assert found["steps"] == 1
    assert found["relative_l2"] < most
    field = load(found["folder"])
    signal = build(OmegaConf.load(found["folder"] / "config.yaml").signal)
    x = signal.grid().double()
    with torch.no_grad():
        off = field.double()(x) - signal.jet(x, 0).value
    assert (off.norm() / signal.samples().value.norm()).item() == pytest.approx(
        found["relative_l2"], rel=1e-2, abs=1e-6
    )


def test_a_network_starts_on_the_wave_equation(fit):
    """The other way, by gradients: every term is there, and the loss falls."""
    small = ["field.width=32", "field.depth=1", "encoding=none", "optimizer=adam", "data.eval_every=5"]
    found = fit("signal=wave", "loss=wave", *LINE, *small, "trainer.max_steps=40", "loss.terms.wave.count=200")
    rows = (found["folder"] / "history.csv").read_text().splitlines()
    assert {"loss/wave", "loss/initial", "loss/edge"} <= set(rows[0].split(","))
    losses = [float(row.split(",")[rows[0].split(",").index("loss")]) for row in rows[1:]]
    assert losses[-1] < 0.7 * losses[0]
