"""Views of a scene: cameras as three programs write them, what is held out, and the program's own solids."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from sinefield.errors import UserError
from sinefield.losses.rendering import along
from sinefield.signals.scene import Scene
from sinefield.signals.scenes import solids
from sinefield.signals.scenes.cameras import Camera, common_box, directions, read, unbend

ANGLE = 0.8


def looking(x: float, y: float, z: float) -> np.ndarray:
    """(4, 4), a camera at (x, y, z) that looks at the origin."""
    back = np.array([x, y, z]) / math.hypot(x, y, z)
    right = np.cross([0, 0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, [x, y, z]], axis=1)
    return pose


POSES = [looking(3, 0, 1), looking(-3, 1, 1), looking(0, 3, 0.5), looking(0.5, -3, 1)]


def folder(place, content=None, name="transforms.json", mode="RGB", sizes=((12, 8),) * 4):
    """Four pictures and a list of cameras."""
    for k, (width, height) in enumerate(sizes):
        Image.new(mode, (width, height), (200, 40 * k, 0, 0)[: len(mode)]).save(place / f"v{k}.png")
    frames = [{"file_path": f"./v{k}", "transform_matrix": pose.tolist()} for k, pose in enumerate(POSES)]
    (place / name).write_text(json.dumps({"camera_angle_x": ANGLE, "frames": frames, **(content or {})}))
    return place


class TestCameras:
    def test_a_ray_goes_through_what_its_pixel_shows(self):
        """A point of the world, projected by hand, lies on the ray of the pixel that it falls into."""
        camera = Camera(None, POSES[0][:3], (0.9, 1.3), (0.45, 0.6), np.zeros(5), False)
        point = np.array([0.2, -0.3, 0.4])
        x, y, z = camera.pose[:, :3].T @ (point - camera.pose[:, 3])
        u, v = 0.45 + 0.9 * x / -z, 0.6 - 1.3 * y / -z
        width, height = 400, 300
        ray = directions(camera, width, height).reshape(height, width, 3)[int(v * height), int(u * width)]
        t = ray @ (point - camera.pose[:, 3])
        off = np.linalg.norm(camera.pose[:, 3] + t * ray - point)
        assert off < 3 / 400  # a pixel

    def test_unbend_undoes_the_lens(self):
        """OpenCV's model, forward, of where it says the points lie without the lens."""
        k1, k2, p1, p2, k3 = bend = np.array([-0.12, 0.03, 0.004, -0.003, 0.01])
        x, y = np.random.default_rng(0).uniform(-0.6, 0.6, (2, 50))
        a, b = unbend(x, y, bend)
        r = a * a + b * b
        radial = 1 + k1 * r + k2 * r**2 + k3 * r**3
        np.testing.assert_allclose(a * radial + 2 * p1 * a * b + p2 * (r + 2 * a * a), x, atol=1e-9)
        np.testing.assert_allclose(b * radial + p1 * (r + 2 * b * b) + 2 * p2 * a * b, y, atol=1e-9)

    @pytest.mark.parametrize(
        "content",
        [{}, {"fl_x": 0.5 * 12 / math.tan(ANGLE / 2), "fl_y": 0.5 * 12 / math.tan(ANGLE / 2), "w": 12, "h": 8}],
        ids=["blender", "nerfstudio"],
    )
    def test_programs_agree(self, tmp_path, content):
        """An angle, or a focal length in pixels: the same rays."""
        found = Scene(folder(tmp_path, content))
        expected = Camera(None, POSES[2][:3], (0.5 / math.tan(ANGLE / 2), None), None, np.zeros(5), False)
        np.testing.assert_allclose(found.rays[2], directions(expected, 12, 8), atol=1e-6)

    def test_the_box_is_what_all_see(self):
        centre, half = common_box(solids.around(20, 0.0))
        np.testing.assert_allclose(centre, 0, atol=1e-9)
        assert half == pytest.approx(solids.DISTANCE * math.tan(solids.ANGLE / 2))


class TestSplit:
    def test_the_file_says_what_is_held_out(self, tmp_path):
        folder(tmp_path, name="transforms_train.json")
        folder(tmp_path, name="transforms_test.json")
        scene = Scene(tmp_path)
        assert (scene.seen, scene.held_out) == ([0, 1, 2, 3], [4, 5, 6, 7])

    def test_else_each_nth_is(self, tmp_path):
        scene = Scene(folder(tmp_path), every=3)
        assert (scene.seen, scene.held_out) == ([0, 1, 3], [2])


class TestPictures:
    @pytest.mark.parametrize(("background", "grey"), [("white", 1.0), ("black", -1.0)])
    def test_alpha_lies_on_the_background(self, tmp_path, background, grey):
        scene = Scene(folder(tmp_path, mode="RGBA"), background=background)
        assert (scene.pixels_of(torch.tensor([1]), torch.tensor([5])) == grey).all()

    def test_colours_are_those_of_the_files(self, tmp_path):
        scene = Scene(folder(tmp_path))
        found = scene.pixels_of(torch.tensor([3]), torch.tensor([7]))
        np.testing.assert_allclose(found, [[200 / 127.5 - 1, 120 / 127.5 - 1, -1]], atol=1e-6)


MISTAKES = {
    "no list": (lambda place: (place / "transforms.json").unlink(), "no transforms.json"),
    "no json": (lambda place: (place / "transforms.json").write_text("{"), "no list of cameras"),
    "no frames": (lambda place: folder(place, {"frames": []}), "lists no views"),
    "no picture": (lambda place: (place / "v1.png").unlink(), "copy the pictures"),
    "cut picture": (lambda place: (place / "v1.png").write_bytes(b"\x89PNG\r\n"), "v1.png"),
    "no angle": (lambda place: folder(place, {"camera_angle_x": None}), "camera_angle_x"),
    "fisheye": (lambda place: folder(place, {"camera_model": "OPENCV_FISHEYE"}), "fisheye"),
    "unlike": (lambda place: folder(place, sizes=((12, 8), (12, 8), (8, 12), (12, 8))), "one size"),
    "one": (lambda place: folder(place, {"frames": _frames(POSES[:1])}), "two views"),
    "infinite": (lambda place: folder(place, {"frames": _frames([POSES[0], POSES[1] * math.nan])}), "finite"),
    "parallel": (lambda place: folder(place, {"frames": _frames([POSES[0], _moved(POSES[0])])}), "do not look at one"),
    "away": (lambda place: folder(place, {"frames": _frames([*POSES[:3], _turned(POSES[3])])}), "look away"),
}


def _frames(poses):
    return [{"file_path": f"v{k}.png", "transform_matrix": pose.tolist()} for k, pose in enumerate(poses)]


def _moved(pose):
    return pose + np.array([[0, 0, 0, 1.0]] * 3 + [[0, 0, 0, 0]])


def _turned(pose):
    return pose * np.array([-1.0, 1, -1, 1])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(tmp_path, mistake):
    spoil, said = MISTAKES[mistake]
    folder(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        Scene(tmp_path)
    assert "\n" not in str(caught.value)


def test_read_needs_a_place(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nowhere")


class TestSolids:
    def test_rays_stop_where_the_ball_is(self):
        """By the quadratic equation, of rays towards the ball's middle from the side where nothing is in the way."""
        middle = torch.tensor([[-0.42, -0.12, -0.12]]).double()
        away = torch.nn.functional.normalize(torch.tensor([[-1.0, 0.1, 0.3], [-0.8, -0.3, 1.0]]).double(), dim=1)
        colours, t = solids.cast(middle + 2 * away, -away, 1.0)
        np.testing.assert_allclose(t, 2 - 0.36, atol=1e-4)
        assert ((colours >= 0) & (colours <= 1)).all()

    def test_rays_past_everything_see_the_background(self):
        origin = torch.tensor([[0.0, 0.0, 2.0]]).double()
        colours, t = solids.cast(origin, torch.tensor([[1.0, 0.0, 0.0]]).double(), 0.25)
        assert (colours == 0.25).all()
        assert t.isinf().all()


def test_points_lie_on_their_rays_in_the_box():
    """In order, one in each part of the ray; of a ray that misses the box all in one place."""
    scene = Scene(size=8, views=4)
    view, pixel = torch.tensor([0, 1, 3]), torch.tensor([27, 36, 0])
    x = along(scene, view, pixel, torch.full((3, 6), 0.5)).unflatten(0, (3, 6))
    off = torch.linalg.cross(x[..., :3] - scene.poses[view, None, :, 3], x[..., 3:6])
    assert off.abs().max() < 1e-5
    assert (x[..., :3].abs() <= 1 + 1e-5).all()
    parts = x[:2, :, 6] / x[:2, :, 7]
    torch.testing.assert_close(parts, ((torch.arange(6) + 0.5) / 6).expand(2, 6))
    assert (x[..., 8] == view[:, None]).all()
    assert (x[..., 9] == pixel[:, None]).all()
