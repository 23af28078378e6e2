"""Held-out views of the exact scene, rendered from its own density and colour, are those that rays see."""

import pytest
import torch

from sinefield.errors import UserError
from sinefield.evaluation.views import Views
from sinefield.losses.base import Loss
from sinefield.losses.rendering import Rendered
from sinefield.signals.image import Image
from sinefield.signals.scene import Scene
from sinefield.signals.scenes import solids


class Exact(torch.nn.Module):
    """Opaque inside the solids; the colour of the surface under the lamp, without the highlight."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        place, n = x[:, :3], solids.normals(x[:, :3])
        light = 0.45 + 0.55 * (n @ n.new_tensor(solids._LAMP)).clamp(min=0)[:, None]
        density = 20 * torch.sigmoid(-solids.distances(place).amin(dim=1, keepdim=True) / 0.003)
        return torch.cat([density, 2 * (solids.paint(place) * light).clamp(0, 1) - 1], dim=1)


@pytest.fixture(scope="module")
def evaluation() -> Views:
    return Views(Scene(size=40, views=8), Loss({"pixels": Rendered()}), samples=96, frames=2, resolution=16)


def test_the_exact_scene_scores_as_such(evaluation):
    """PSNR and depth, but for the highlight, the pixel's width and the points' distance."""
    scores = evaluation.final(Exact())
    assert scores["psnr_views"] > 25
    assert scores["ssim_views"] > 0.9
    assert scores["depth_error"] < 0.02


def test_some_pixels_tell_roughly(evaluation):
    with torch.no_grad():
        values = torch.cat([Exact()(x) for x in evaluation.points()])
    scores = evaluation.scores(values)
    assert scores["psnr_views"] == pytest.approx(evaluation.final(Exact())["psnr_views"], abs=2.5)
    assert set(scores) == {score.key for score in evaluation.shown}


def test_draws_what_docs_say(evaluation, tmp_path):
    scores = evaluation.final(Exact())
    drawn = evaluation.draw(tmp_path, Exact(), scores)
    assert set(drawn) == {"views", "mesh_views"}
    assert {path.name for path in tmp_path.iterdir()} == {"views.png", "mesh_views.png", "mesh.ply", "turntable.mp4"}


def test_is_for_scenes_alone():
    with pytest.raises(UserError, match="signal=scene"):
        Views(Image("skimage:camera", 16), Loss({"pixels": Rendered()}))
