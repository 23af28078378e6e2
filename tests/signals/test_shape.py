"""A shape: what is read from files of meshes and clouds, what is known of their points, and what is refused."""

import logging

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.signals.shape import Shape
from sinefield.signals.shapes import reading, ring
from sinefield.signals.shapes.cleaning import cleaned
from sinefield.signals.shapes.reading import Geometry, read

pytestmark = pytest.mark.usefixtures("float64")


def ball(count: int = 400) -> np.ndarray:
    """(count, 3) points of a sphere about (5, 6, 7) of radius 2, spread evenly, and their normals."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    unit = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)
    return np.concatenate([2 * unit + [5, 6, 7], unit], axis=1)


def written(folder, text: str, name: str):
    (folder / name).write_text(text)
    return folder / name


def lines(rows) -> str:
    return "\n".join(" ".join(f"{value:.12g}" for value in row) for row in rows) + "\n"


def ply(rows, names="x y z nx ny nz") -> str:
    properties = "".join(f"property double {name}\n" for name in names.split())
    return f"ply\nformat ascii 1.0\nelement vertex {len(rows)}\n{properties}end_header\n{lines(rows)}"


class TestRing:
    def test_distance_is_that_to_the_nearest_point_of_the_surface(self):
        """Against 400,000 points of it, some 0.004 apart, inside and outside."""
        points, _ = ring.sample(400_000, torch.Generator().manual_seed(0))
        x = 1.6 * torch.rand(2000, 3) - 0.8
        found = ring.distance(x).squeeze(1)
        nearest = torch.from_numpy(cKDTree(points).query(x)[0])
        far = nearest > 0.02
        assert (found.abs()[far] <= nearest[far] + 1e-12).all()
        assert (found.abs()[far] - nearest[far]).abs().max() < 1e-3
        assert 0.05 < (found < 0).double().mean() < 0.4

    def test_samples_lie_on_it_with_the_gradient_as_normal(self):
        points, normals = ring.sample(5000, torch.Generator().manual_seed(0))
        jet = autograd_jet(ring.distance, points, 1)
        assert jet.value.abs().max() < 1e-10
        smooth = (jet.gradient.squeeze(1) * normals).sum(1) > 1 - 1e-6
        assert smooth.double().mean() > 0.999  # the points of an edge have none

    def test_samples_are_even(self):
        """The centroid by Pappus: the mean of z and of x, y along the ring's axes vanish, within 5 standard errors."""
        points, _ = ring.sample(20_000, torch.Generator().manual_seed(1))
        own = points @ ring.rotation()
        assert (own.mean(dim=0).abs() < 5 * own.std(dim=0) / 20_000**0.5).all()
        outer = (own[:, :2].norm(dim=1) > ring.RADIUS).double().mean()
        r, a, h = ring.RADIUS, ring.BREADTH, ring.HALF_HEIGHT
        arc = 2 * np.pi * h * (np.pi * r + 2 * h)
        rest = 2 * np.pi * (r**2 - (r - a) ** 2) + 4 * np.pi * (r - a) * h
        assert outer.item() == pytest.approx(arc / (arc + rest), abs=0.015)

    def test_slope_is_one(self):
        x = 1.6 * torch.rand(500, 3) - 0.8
        assert (autograd_jet(ring.distance, x, 1).gradient.norm(dim=-1) - 1).abs().max() < 1e-12


class TestReading:
    @pytest.mark.parametrize("kind", ["ply", "obj", "stl", "off", "glb"])
    @pytest.mark.parametrize("ascii_too", [False, True])
    def test_a_mesh(self, tmp_path, kind, ascii_too):
        """A ring of triangles, binary and as text where the format has both: closed, and of the same volume."""
        mesh = trimesh.creation.annulus(0.3, 0.6, 0.5)
        options = {"ply": {"encoding": "ascii"}, "stl": {"file_type": "stl_ascii"}}.get(kind, {}) if ascii_too else {}
        mesh.export(tmp_path / f"m.{kind}", **options)
        found = cleaned(read(tmp_path / f"m.{kind}"), "m")
        again = trimesh.Trimesh(found.points, found.faces)
        assert again.is_watertight
        assert again.volume == pytest.approx(mesh.volume, rel=1e-5)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.ply", ply(ball())),
            ("a.xyz", lines(ball())),
            ("a.pts", f"400\n{lines(ball())}"),
            ("a.obj", "".join(f"v {lines([r[:3]])}vn {lines([r[3:]])}" for r in ball())),
        ],
    )
    def test_a_cloud_with_normals(self, tmp_path, name, text):
        found = read(written(tmp_path, text, name))
        assert found.faces is None
        assert np.allclose(found.points, ball()[:, :3], atol=1e-6)
        assert np.allclose(found.normals, ball()[:, 3:], atol=1e-6)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.ply", ply(ball()[:, :3], "x y z")),
            ("a.xyz", lines(np.c_[ball()[:, :3], np.full((400, 3), 200)])),  # colours
            ("a.pts", f"400\n{lines(np.c_[ball()[:, :3], np.full((400, 4), 99)])}"),  # intensity and colours
        ],
    )
    def test_colours_are_no_normals(self, tmp_path, name, text):
        found = read(written(tmp_path, text, name))
        assert found.normals is None
        assert np.allclose(found.points, ball()[:, :3], atol=1e-6)

    def test_arrays(self, tmp_path):
        np.savez(tmp_path / "a.npz", points=ball()[:, :3], normals=ball()[:, 3:])
        assert np.array_equal(read(tmp_path / "a.npz").normals, ball()[:, 3:])

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.ply", b"", "empty"),
            ("a.ply", b"ply\nformat binary", "cannot be read"),
            ("a.obj", b"nothing", "no points"),
            ("a.stl", b"nothing of use", "no points|cannot be read"),
            ("a.glb", b"nothing", "cannot be read"),
            ("a.off", b"nothing", "cannot be read"),
            ("a.npz", b"nothing", "cannot be read"),
            ("a.xyz", b"1 2\n3 4\n", "2 numbers in a line"),
            ("a.xyz", b"a b c\n", "cannot be read"),
            ("a.docx", b"1", "convert it to one of ply"),
        ],
    )
    def test_what_cannot_be_read_is_one_line(self, tmp_path, name, content, said):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=said) as caught:
            Shape(tmp_path / name)
        assert "\n" not in str(caught.value)

    def test_a_huge_file_is_refused_before_it_is_read(self, tmp_path):
        """3 GiB without a byte on the disk."""
        with (tmp_path / "a.ply").open("wb") as file:
            file.truncate(3 * 2**30)
        with pytest.raises(UserError, match=r"3\.0 GiB"):
            read(tmp_path / "a.ply")

    def test_no_file(self, tmp_path):
        with pytest.raises(UserError, match="does not exist"):
            Shape(tmp_path / "a.ply")

    def test_arrays_of_objects_are_not_unpickled(self, tmp_path):
        np.savez(tmp_path / "a.npz", points=np.array([{}], dtype=object))
        with pytest.raises(UserError, match="cannot be read"):
            read(tmp_path / "a.npz")


class TestCleaning:
    def test_not_finite_and_double_points_are_left_out(self, caplog):
        rows = np.concatenate([ball(), ball()[:50], np.full((3, 6), np.nan)])
        with caplog.at_level(logging.WARNING):
            found = cleaned(Geometry(rows[:, :3], None, rows[:, 3:]), "a")
        assert len(found.points) == 400
        assert "3 points are not finite" in caplog.text

    @pytest.mark.parametrize(
        ("points", "said"),
        [
            (np.zeros((0, 3)), "0 different points"),
            (np.ones((500, 3)), "1 different points"),
            (np.c_[np.random.default_rng(0).random((500, 2)), np.zeros(500)], "flat"),
            (np.linspace(0, 1, 500)[:, None] * [1, 2, 3], "flat"),
        ],
    )
    def test_what_is_no_surface_is_refused(self, points, said):
        with pytest.raises(UserError, match=said):
            cleaned(Geometry(points), "a")

    def test_normals_inwards_are_turned(self):
        found = cleaned(Geometry(ball()[:, :3], None, -3 * ball()[:, 3:]), "a")
        assert ((found.points - [5, 6, 7]) * found.normals).sum(axis=1) == pytest.approx(2.0)

    def test_zero_normals(self):
        """Some: their points are left out. Most: no normals are used."""
        normals = ball()[:, 3:].copy()
        normals[:40] = 0
        assert len(cleaned(Geometry(ball()[:, :3], None, normals), "a").points) == 360
        assert cleaned(Geometry(ball()[:, :3], None, 0 * normals), "a").normals is None

    def test_normals_both_ways_are_refused(self):
        signs = np.random.default_rng(0).choice([-1, 1], 400)[:, None]
        with pytest.raises(UserError, match="loss=digs"):
            cleaned(Geometry(ball()[:, :3], None, signs * ball()[:, 3:]), "a")

    def test_a_mesh_inside_out_is_turned(self):
        box = trimesh.creation.box()
        found = cleaned(Geometry(box.vertices, box.faces[:, ::-1]), "a")
        assert trimesh.Trimesh(found.points, found.faces).volume == pytest.approx(1)

    def test_degenerate_faces_go(self):
        box = trimesh.creation.box()
        faces = np.concatenate([box.faces, [[0, 0, 1], [2, 2, 2]], box.faces[:1]])
        assert len(cleaned(Geometry(box.vertices, faces), "a").faces) == 12

    def test_an_open_mesh_has_no_inside(self, tmp_path):
        box = trimesh.creation.box()
        box.update_faces(np.arange(12) > 1)
        box.export(tmp_path / "open.ply")
        assert not Shape(tmp_path / "open.ply", size=8, points=500).closed
        trimesh.creation.box().export(tmp_path / "box.ply")
        assert Shape(tmp_path / "box.ply", size=8, points=500).closed


class TestShape:
    @pytest.fixture
    def shape(self, tmp_path):
        """A box of sides 1, 2, 4 about (10, 20, 30)."""
        box = trimesh.creation.box((1, 2, 4))
        box.apply_translation((10, 20, 30))
        box.export(tmp_path / "box.off")
        return Shape(tmp_path / "box.off", size=21, points=3000)

    def test_one_scale_for_all_axes_and_a_margin(self, shape):
        """The longest side spans [-0.9, 0.9], the others are in proportion, and the box has the margin around all."""
        x = shape.cloud
        assert x.amax(dim=0) == pytest.approx([0.225, 0.45, 0.9], abs=2e-3)
        assert x.amin(dim=0) == pytest.approx([-0.225, -0.45, -0.9], abs=2e-3)
        assert (shape.extent >= torch.tensor([0.325, 0.55, 1.0]) - 1e-12).all()
        assert shape.extent[2] == 1
        assert shape.unit == pytest.approx(1.8)

    def test_the_way_back_to_the_file(self, shape):
        assert shape.to_file(np.zeros((1, 3)))[0] == pytest.approx([10, 20, 30])
        corners = shape.to_file(shape.vertices)
        assert corners.max(axis=0) == pytest.approx([10.5, 21, 32])

    def test_points_know_their_normals(self, shape):
        """On a box a point's normal is along the axis whose side it lies on, whatever the precision."""
        for dtype in (torch.float64, torch.float32):
            points = shape.to(dtype).sets["surface"]
            x = points.draw(500, torch.Generator().manual_seed(0))
            normals = points.at(x)
            assert normals.dtype == dtype
            side = torch.tensor([0.225, 0.45, 0.9]).to(dtype)
            assert torch.allclose((x * normals).sum(1), (side * normals.abs()).sum(1), atol=1e-5)

    @pytest.mark.parametrize("name", ["near", "anywhere"])
    def test_points_know_the_distances(self, shape, name):
        """To the bounding box by clamping to it, and to the cloud by comparing with all its points."""
        points = shape.sets[name]
        x = points.draw(200, torch.Generator().manual_seed(0))
        assert (x.abs() <= shape.extent).all()
        cloud = shape.cloud
        nearest = x.clamp(cloud.amin(dim=0), cloud.amax(dim=0))
        expected = torch.stack([(x - nearest).norm(dim=1), torch.cdist(x, cloud).amin(dim=1)], dim=1)
        assert torch.allclose(points.at(x), expected, atol=1e-12)

    def test_noise_has_the_size_that_was_asked_for(self, tmp_path, shape):
        noisy = Shape(tmp_path / "box.off", size=21, points=3000, noise=0.02)
        assert (noisy.cloud - shape.cloud).std().item() == pytest.approx(0.02 * 1.8, rel=0.05)

    def test_normals_may_be_left_out(self, tmp_path, shape):
        assert Shape(tmp_path / "box.off", size=21, points=3000, normals=False).normals is None
        assert shape.normals is not None

    def test_a_shape_from_a_file_has_no_known_distance(self, shape):
        with pytest.raises(UserError, match="loss=sdf"):
            shape.jet(torch.zeros(1, 3), 0)

    def test_a_million_points(self, tmp_path):
        np.savez(tmp_path / "many.npz", points=np.random.default_rng(0).normal(size=(1_000_000, 3)))
        assert len(Shape(tmp_path / "many.npz", size=8, points=None).cloud) == 1_000_000
        assert len(Shape(tmp_path / "many.npz", size=8, points=1000).cloud) == 1000

    def test_a_fit_starts_as_a_sphere(self, shape):
        """f is near |x - c| - r, the same whenever it is done; with start=false nothing changes."""
        torch.manual_seed(0)
        fields = [Siren(3, 1, 32, 1, omega0=10.0) for _ in range(2)]
        fields[1].load_state_dict(fields[0].state_dict())
        before = [p.detach().clone() for p in fields[0].parameters()]
        shape.start = False
        shape.prepare(fields[0])
        assert all(map(torch.equal, before, fields[0].parameters()))
        shape.start = True
        for field in fields:
            shape.prepare(field)
        assert all(map(torch.equal, fields[0].parameters(), fields[1].parameters()))
        x = shape.uniform(1000, torch.Generator().manual_seed(0))
        middle = shape.cloud.mean(dim=0)
        radius = (shape.cloud - middle).norm(dim=1).mean()
        expected = (x - middle).norm(dim=1) - radius
        assert (fields[0](x).squeeze(1) - expected).abs().mean() < 0.05


def test_what_is_read_at_most_is_said():
    assert reading.LARGEST == 2**30
