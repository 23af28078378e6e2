"""Scores of volumes, and the surface in them."""

import math

import numpy as np
import pytest
import torch
import trimesh
from torch import nn

from sinefield.evaluation.volume import VolumeScores
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.signals.volume import Volume

LOSS = Loss({"value": Value()})


class Given(nn.Module):
    """A field that is a function of x."""

    def __init__(self, function):
        super().__init__()
        self.head = nn.Linear(1, 1)
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_a_field_that_is_off_by_a_tenth():
    signal = Volume(size=12)
    evaluation, field = VolumeScores(signal, LOSS), Given(lambda x: signal.jet(x, 0).value - 0.1)
    values = torch.cat([field(x) for x in evaluation.points()])
    for found in (evaluation.scores(values), evaluation.final(field)):
        assert found["psnr"] == found["psnr_raw"] == pytest.approx(20 * math.log10(20), abs=1e-3)
        assert found["psnr_off_grid"] == pytest.approx(20 * math.log10(20), abs=1e-3)


def test_the_spline_is_the_rival():
    """Of the closed form its error between the samples is that of all points of the grid twice as fine."""
    signal = Volume(size=12)
    x = signal.grid(upsampling=2)
    error = (signal.interpolated(x) - signal.jet(x, 0).value).reshape(23, 23, 23)
    between = torch.ones(23, 23, 23, dtype=torch.bool)
    between[::2, ::2, ::2] = False
    expected = 10 * math.log10(4 / error[between].square().mean().item())
    assert VolumeScores(signal, LOSS).references()["psnr_off_grid_spline"] == pytest.approx(expected, abs=1e-2)


def test_files(tmp_path):
    """A ball of radius 0.6 in space, though voxels are flat: its mesh is closed, outward, and in the file's unit."""
    z, y, x = np.meshgrid(np.arange(9) * 4.0, np.arange(33) * 1.0, np.arange(33) * 1.0, indexing="ij")
    np.save(tmp_path / "a.npy", 20 - np.sqrt((x - 16) ** 2 + (y - 16) ** 2 + (z - 16) ** 2))
    signal = Volume(tmp_path / "a.npy", size=None, holdout=False, spacing=[1, 1, 4])
    folder = tmp_path / "run"
    folder.mkdir()
    evaluation = VolumeScores(signal, LOSS)
    field = Given(lambda x: 5 * (0.6 - x.norm(dim=1, keepdim=True)))
    files = evaluation.draw(folder, field, evaluation.final(field))
    assert set(files.values()) == set(folder.iterdir())
    mesh = trimesh.load(files["mesh"])
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * (0.6 * 16) ** 3, rel=0.05)
    assert mesh.centroid == pytest.approx([16, 16, 16], abs=0.05)


def test_no_surface(tmp_path, caplog):
    """A field that is nowhere at the level has no mesh, and says so."""
    evaluation = VolumeScores(Volume(size=8), LOSS)
    files = evaluation.draw(tmp_path, Given(lambda x: x[:, :1] * 0 - 1), {})
    assert "mesh" not in files
    assert "evaluation.level" in caplog.text


@pytest.mark.parametrize("loss", ["gradient", "laplacian"])
def test_derivatives_alone_make_a_volume(fit, loss, monkeypatch):
    """The losses of pictures, in three dimensions: a few steps bring the error of a blank volume down."""
    monkeypatch.setattr(VolumeScores, "draw", lambda *_: {})  # as above
    small = ["signal.size=8", "field.width=32", "field.depth=1", "data.batch_size=128", "trainer.accelerator=cpu"]
    metrics = fit(
        "signal=volume",
        f"loss={loss}",
        *small,
        "trainer.max_steps=40",
        "data.eval_every=10",
        "loss.terms.weak.count=64",
    )
    history = (metrics["folder"] / "history.csv").read_text().splitlines()
    column = history[0].split(",").index("loss")
    losses = [float(row.split(",")[column]) for row in history[1:]]
    assert min(losses[1:]) < losses[0]
    assert math.isfinite(metrics["psnr_off_grid"])
