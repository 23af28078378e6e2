"""What is seen of a mesh: the nearest face at every pixel, not mirrored, and colours that say which way it looks."""

from __future__ import annotations

import io

import numpy as np
import torch
import trimesh
from PIL import Image

from sinefield.core.jet import autograd_jet
from sinefield.evaluation.rasteriser import rasterise
from sinefield.evaluation.surface_pictures import slices, views


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_nearest_face_is_seen_at_every_pixel() -> None:
    """Against every ray meeting every face, by trimesh's own intersection; faces from below a pixel to the whole."""
    random = np.random.default_rng(0)
    centres, sizes = random.uniform(0, 40, (60, 1, 3)), 10 ** random.uniform(-0.5, 1.7, (60, 1, 1))
    corners = (centres + sizes * random.uniform(-1, 1, (60, 3, 3))).reshape(-1, 3)
    faces = np.arange(180).reshape(-1, 3)
    seen, weights = rasterise(corners, faces, 30, 41)
    expected = np.full((30, 41), -1)
    depths = np.full((30, 41), np.inf)
    for row, column in np.ndindex(30, 41):
        point = np.array([column, row, 0.0])
        flat = corners[faces] * [1, 1, 0]
        share = trimesh.triangles.points_to_barycentric(flat, np.repeat(point[None], 60, axis=0))
        depth = np.where((share >= 0).all(axis=1), (share * corners[faces][..., 2]).sum(axis=1), np.inf)
        if np.isfinite(depth).any():
            expected[row, column], depths[row, column] = depth.argmin(), depth.min()
    assert np.array_equal(seen, expected)
    assert 0.1 < (seen >= 0).mean() < 1
    rows, columns = np.nonzero(seen >= 0)
    where = (corners[faces[seen[rows, columns]]] * weights[rows, columns, :, None]).sum(axis=1)
    np.testing.assert_allclose(where, np.stack([columns, rows, depths[rows, columns]], axis=1), atol=1e-6)


def test_faces_that_are_seen_from_their_edge_or_not_at_all_are_none() -> None:
    corners = np.array([[1, 1, 0], [5, 1, 0], [9, 1, 4], [-9, -9, 0], [-5, -9, 0], [-5, -5, 0.0]])
    seen, _ = rasterise(corners, np.array([[0, 1, 2], [3, 4, 5], [0, 0, 0]]), 12, 12)
    assert (seen == -1).all()


def test_a_ball_has_the_colours_of_its_normals_and_the_size_of_a_ball() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=3.0).apply_translation([100, -50, 7])
    for up, angle, normal in (
        (1, (0, 0), [0, 0, 1]),
        (1, (90, 0), [1, 0, 0]),
        (2, (0, 0), [1, 0, 0]),
        (1, (0, 90), [0, 1, 0]),
    ):
        picture = pixels(views(ball.vertices, ball.faces, size=101, angles=[angle], up=up))
        assert picture.shape == (101, 101, 3)
        np.testing.assert_allclose(picture[50, 50], 127.5 * (np.array(normal) + 1), atol=2)
        area = (picture < 250).any(axis=2).sum()
        np.testing.assert_allclose(area, np.pi * (0.48 * 101) ** 2, rtol=0.02)


def test_nothing_is_mirrored() -> None:
    """From +z, with y upright, x runs to the right; from +x, z runs to the left."""
    parts = [
        trimesh.creation.icosphere(2, r).apply_translation(at)
        for r, at in ((0.2, [1, 0, 0]), (0.1, [0, 1, 0]), (0.3, [0, 0, 1]))
    ]
    mesh = trimesh.util.concatenate(parts)
    rows, columns = [], []
    for angle in ((0, 0), (90, 0)):
        picture = pixels(views(mesh.vertices, mesh.faces, size=120, angles=[angle])).min(axis=2) < 250
        rows.append(np.nonzero(picture)[0])
        columns.append(np.nonzero(picture)[1])
    (front, side), (above, side_above) = columns, (part < 50 for part in rows)
    assert front[above].mean() < front[~above].mean()
    assert side[side_above].mean() > side[~side_above].mean()


def test_the_default_views_are_four_in_a_row() -> None:
    box = trimesh.creation.box()
    picture = pixels(views(box.vertices, box.faces, size=60))
    assert picture.shape == (60, 240, 3)
    parts = np.split(picture, 4, axis=1)
    assert all((part < 250).any() for part in parts)
    assert not np.array_equal(parts[0], parts[1])


def test_slices_show_inside_blue_and_outside_red_and_a_slope_that_is_wrong() -> None:
    def ball(x: torch.Tensor) -> torch.Tensor:
        return x.norm(dim=1, keepdim=True) - 0.5

    def drawn(scale: float, **options) -> np.ndarray:
        jet = lambda x, order: autograd_jet(lambda y: scale * ball(y), x, order)  # noqa: E731
        return pixels(slices(jet, [-1] * 3, [1, 1, 0.8], resolution=50, **options))

    picture = drawn(1.0, truth=lambda x: ball(x) + 0.2)
    red, _, blue = np.moveaxis(picture, -1, 0)
    upper, lower = np.split(blue - red, [picture.shape[0] // 2])
    assert (upper > 40).sum() > 500
    assert (upper < -40).sum() > 5000
    assert np.abs(lower[:, : picture.shape[1] * 4 // 5]).max() < 40  # the colour bars aside: |grad f| = 1 is white
    steep = drawn(1.5)
    assert (np.split(steep[..., 2] - steep[..., 0], 2)[1] < -40).sum() > 20_000
    green = (np.abs(picture - [0x2F, 0x9E, 0x44]) < 10).all(axis=2)
    assert green.sum() > 50  # the truth
    assert not (np.abs(steep - [0x2F, 0x9E, 0x44]) < 10).all(axis=2).any()


def test_slices_that_no_surface_passes_are_drawn_without_a_warning() -> None:
    jet = lambda x, order: autograd_jet(lambda y: y.norm(dim=1, keepdim=True) + 3, x, order)  # noqa: E731
    assert pixels(slices(jet, [0.5] * 3, [1] * 3, resolution=20)).shape[2] == 3
