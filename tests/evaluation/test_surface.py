"""Scores of a surface: exact distances to triangles, what is inside, and fields whose surface is known."""

import numpy as np
import pytest
import torch
import trimesh

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.evaluation.surface import Surface
from sinefield.evaluation.surface_distance import Cloud, Mesh, closest, occupied
from sinefield.losses.base import Loss
from sinefield.losses.surface import OnSurface
from sinefield.signals.analytic import Analytic
from sinefield.signals.shape import Shape

LOSS = Loss({"surface": OnSurface()})


def mesh_of(mesh: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), density=5000)


class Known(torch.nn.Module):
    """A field that is a function of x."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.head = torch.nn.Linear(1, 1, dtype=torch.float64)

    def jet(self, x, order, operators=None):
        found = autograd_jet(self.function, x, order)
        return found.map(torch.Tensor.detach)


class TestDistances:
    def test_the_nearest_point_of_a_triangle(self):
        """Against the best of many points of each, in all of the seven regions."""
        rng = np.random.default_rng(0)
        triangles, p = rng.normal(size=(300, 3, 3)), rng.normal(size=(300, 3)) * 2
        found = closest(p, triangles)
        steps = np.linspace(0, 1, 101)
        u, v = (grid.ravel() for grid in np.meshgrid(steps, steps))
        u, v = u[u + v <= 1], v[u + v <= 1]
        points = np.einsum("kc,ncd->nkd", np.stack([1 - u - v, u, v], axis=1), triangles)
        best = np.linalg.norm(points - p[:, None], axis=2).min(axis=1)
        distance = np.linalg.norm(found - p, axis=1)
        assert (distance <= best + 1e-12).all()
        assert (distance >= best - 0.05).all()
        inside = np.linalg.lstsq(triangles[0].T, found[0], rcond=None)[0]  # found lies on its triangle
        assert inside.sum() == pytest.approx(1, abs=1e-6)

    def test_a_mesh_against_trimesh(self):
        """Large triangles beside small ones; points near and far."""
        mesh = trimesh.creation.annulus(0.3, 0.9, 0.5)
        rng = np.random.default_rng(0)
        p = np.concatenate([rng.normal(size=(200, 3)), mesh.sample(300, seed=0) + rng.normal(0, 0.02, (300, 3))])
        _, expected, _ = trimesh.proximity.closest_point(mesh, p)
        found = mesh_of(mesh).nearest(p).distance
        assert np.allclose(found[200:], expected[200:], atol=1e-12)
        assert np.allclose(found[:200], expected[:200], rtol=1e-3)

    def test_normals_of_the_nearest_points(self):
        box = mesh_of(trimesh.creation.box())
        assert np.allclose(box.nearest(np.array([[0.1, 0.2, 3.0]])).normal, [[0, 0, 1]])

    def test_a_cloud_has_its_points_alone(self):
        found = Cloud(np.eye(3)).nearest(np.array([[2.0, 0, 0]]))
        assert found.distance == pytest.approx([1.0])
        assert found.normal is None

    def test_samples_are_even_by_area(self):
        """Of a box of sides 1, 1, 8 the two small sides, 2 of 34 of the area, have their share."""
        points, normals = mesh_of(trimesh.creation.box((1, 1, 8))).sample(10_000, np.random.default_rng(0))
        assert (np.abs(normals[:, 2]) > 0.5).mean() == pytest.approx(2 / 34, abs=2e-3)
        assert np.abs(np.abs(points).max(axis=0) - [0.5, 0.5, 4]).max() < 0.01


class TestInside:
    @pytest.mark.parametrize("turned", [0.0, 0.7])
    def test_of_a_box(self, turned):
        """Whether lines pass through edges and corners or not."""
        mesh = trimesh.creation.box((1, 1, 1))
        mesh.apply_transform(trimesh.transformations.rotation_matrix(turned, [1, 2, 3]))
        axis = np.linspace(-1, 1, 21) + (0.013 if turned else 0)
        found = occupied(mesh_of(mesh), axis, axis, axis)
        back = trimesh.transformations.rotation_matrix(-turned, [1, 2, 3])[:3, :3]
        own = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) @ back.T
        clear = np.abs(np.abs(own).max(axis=-1) - 0.5) > 1e-9
        assert (found == (np.abs(own).max(axis=-1) < 0.5))[clear].all()

    def test_of_a_ring_by_its_volume(self):
        mesh = trimesh.creation.annulus(0.3, 0.9, 0.5)
        axis = (np.arange(60) + 0.41) / 30 - 1
        share = occupied(mesh_of(mesh), axis, axis, axis).mean()
        assert share * 8 == pytest.approx(mesh.volume, rel=0.01)


@pytest.mark.usefixtures("float64")
class TestScores:
    @pytest.fixture
    def ring(self):
        return Shape(size=40, points=2000)

    @pytest.fixture
    def evaluation(self, ring):
        return Surface(ring, LOSS, resolution=96, samples=20_000)

    def test_of_the_truth_itself(self, ring, evaluation):
        """What is left is that a mesh cuts edges: h = 1/48."""
        found = evaluation.final(Known(ring._distance))
        assert found["chamfer"] < 5e-4
        assert found["hausdorff"] < 0.01
        assert found["iou"] > 0.998
        assert found["normal_consistency"] > 0.99
        assert found["components"] == 1
        assert found["eikonal_error"] < 1e-6
        assert found["distance_error"] < 1e-9
        rough = evaluation.scores(torch.cat([ring.jet(x, 0).value for x in evaluation.points()]))
        assert rough["chamfer"] < 2e-3
        assert rough["iou"] == 1

    def test_of_an_offset_surface(self, ring, evaluation):
        """f - 0.09 is zero 0.09 away, 0.05 of the shape's size of 1.8; outside all is that far, edges a little more."""
        found = evaluation.final(Known(lambda x: ring._distance(x) - 0.05 * ring.unit))
        assert found["chamfer"] == pytest.approx(0.05, abs=2e-3)
        assert found["distance_error"] == pytest.approx(0.05, rel=1e-6)
        assert found["iou"] < 0.9
        assert found["chamfer_squared"] == pytest.approx(2 * 0.05**2, rel=0.1)

    def test_a_sheet_far_away_is_seen(self, ring, evaluation):
        """A small ball in a corner of the box: a second component, and a Hausdorff distance to match."""
        corner = 0.8 * ring.extent
        found = evaluation.final(
            Known(lambda x: torch.minimum(ring._distance(x), (x - corner).norm(dim=1, keepdim=True) - 0.1))
        )
        assert found["components"] == 2
        assert found["hausdorff"] > 0.05

    def test_no_surface(self, ring, evaluation, tmp_path):
        """Infinite distances rather than an error, and pictures of what there is."""
        field = Known(lambda x: ring._distance(x) + 9)
        values = torch.cat([field.jet(x, 0).value for x in evaluation.points()])
        for found in (evaluation.scores(values), evaluation.final(field)):
            assert found["chamfer"] == float("inf")
            assert found["components"] == 0
        assert set(evaluation.draw(tmp_path, field, found)) == {"slices"}

    def test_what_is_drawn(self, tmp_path):
        """mesh.ply lies where the file's shape does."""
        box = trimesh.creation.box((1, 2, 4))
        box.apply_translation((10, 20, 30))
        box.export(tmp_path / "box.ply")
        shape = Shape(tmp_path / "box.ply", size=20, points=500)
        half = torch.tensor([0.225, 0.45, 0.9])
        field = Known(lambda x: (x.abs() - half).amax(dim=1, keepdim=True))
        evaluation = Surface(shape, LOSS, samples=2000)
        scores = evaluation.final(field)
        assert scores["iou"] > 0.99
        assert scores["chamfer"] < 2e-3
        assert set(evaluation.draw(tmp_path, field, scores)) == {"views", "slices"}
        mesh = trimesh.load(tmp_path / "mesh.ply")
        assert mesh.volume == pytest.approx(8, rel=0.03)
        assert mesh.bounds.mean(axis=0) == pytest.approx([10, 20, 30], abs=0.02)

    def test_an_open_mesh_and_a_cloud_have_no_iou(self, tmp_path):
        half = trimesh.creation.icosphere(2)
        half.update_faces(half.triangles_center[:, 2] > 0)
        half.export(tmp_path / "half.ply")
        np.savez(tmp_path / "cloud.npz", points=trimesh.creation.icosphere(3).vertices)
        for name in ("half.ply", "cloud.npz"):
            shape = Shape(tmp_path / name, size=16, points=600)
            values = torch.cat([x.norm(dim=1, keepdim=True) - 0.9 for x in Surface(shape, LOSS).points()])
            found = Surface(shape, LOSS).scores(values)
            assert found["iou"] is None
            assert np.isfinite(found["chamfer"])

    def test_of_a_picture(self):
        with pytest.raises(UserError, match="signal=shape"):
            Surface(Analytic(size=8), LOSS)


@pytest.mark.slow
def test_a_run_resumes_bit_for_bit(fit):
    """4 steps, and 2 with 2 more: the same weights, though a fit starts as a sphere."""
    from conftest import CONF
    from hydra import compose, initialize_config_dir

    from sinefield.runs.train import train

    small = ["signal=shape", "signal.size=12", "signal.points=2000", "evaluation.samples=500", "field.width=16"]
    small += ["field.depth=1", "data.eval_every=2", "trainer.accelerator=cpu", "logger=none", "scheduler=constant"]
    whole = fit(*small, "trainer.max_steps=4", folder="whole")
    half = fit(*small, "trainer.max_steps=2", folder="half")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        longer = compose("train", [*small, "trainer.max_steps=4"])
    train(longer, half["folder"], resume=True)
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (whole["folder"], half["folder"])
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
