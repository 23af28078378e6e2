"""A finished run's film at other speeds and resolutions."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from sinefield.errors import UserError
from sinefield.render import film
from sinefield.runs.loading import load


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    from conftest import CONF
    from hydra import compose, initialize_config_dir

    from sinefield.runs.train import train

    folder = tmp_path_factory.mktemp("film") / "run"
    small = ["signal.size=8", "signal.seconds=0.5", "field.width=16", "field.depth=0", "trainer.max_steps=2"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", ["signal=video", "logger=none", "trainer.accelerator=cpu", *small]), folder)
    return folder


def test_half_as_fast_and_twenty_times_as_large(run, tmp_path):
    """24 frames a second of 10 / 24 s at half the speed: 21 frames. Frame 3 is the field at 1.5 / 24 s."""
    said = film.render_film(run, tmp_path / "a.mp4", speed=0.5, scale=20)
    with av.open(str(tmp_path / "a.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 24
    assert len(shown) == 21
    assert "21 frames of 160 × 120 pixels" in said
    assert shown[0].shape == (120, 160, 3)
    field = load(run)
    half = film._about(run)["extent"]
    time = 1.5 / 10 * 2 * half[2] - half[2]
    x = torch.tensor([[(70.5 / 20 - 0.5) * 2 / 7 - half[0], (50.5 / 20 - 0.5) * 2 / 7 - half[1], time]])
    with torch.no_grad():
        expected = 127.5 * (field(x)[0].numpy() + 1)
    assert np.abs(shown[3][49:52, 69:72].mean((0, 1)) - expected).max() < 8


def test_an_interrupted_rendering_leaves_nothing(run, tmp_path, monkeypatch):
    found = []

    def values(*arguments):
        found.append(None)
        if len(found) == 3:
            raise KeyboardInterrupt
        return film_values(*arguments)

    film_values = film._values
    monkeypatch.setattr(film, "_values", values)
    with pytest.raises(KeyboardInterrupt):
        film.render_film(run, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"speed": 0}, "speed must be a finite number above 0"),
        ({"scale": 0.1}, "a side must have 2 to 8192"),
        ({"speed": 1e-9}, "give a smaller rate"),
        ({"device": "abacus"}, "device must be"),
    ],
)
def test_mistakes(run, tmp_path, knobs, said):
    with pytest.raises(UserError, match=said):
        film.render_film(run, tmp_path / "a.mp4", **knobs)
    with pytest.raises(UserError, match=r"must end in \.mp4"):
        film.render_film(run, tmp_path / "a.avi")
    assert list(tmp_path.iterdir()) == []
