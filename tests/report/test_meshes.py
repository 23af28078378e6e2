"""What of a mesh the page holds: few faces, the same shape, and a reason where there is none."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from made import run
from test_dashboard import block, runs_of

from sinefield.report import dashboard
from sinefield.report.meshes import small_mesh


def ply(mesh: trimesh.Trimesh) -> bytes:
    return mesh.export(file_type="ply")


def unpacked(content: bytes) -> tuple[trimesh.Trimesh, np.ndarray]:
    """By the format's description: the mesh, its longest side from -1 to 1, and the normals."""
    points, faces = struct.unpack("<II", content[:8])
    assert len(content) == 8 + 10 * points + 6 * faces
    places = np.frombuffer(content, "<u2", 3 * points, 8).reshape(-1, 3) / 65535 * 2 - 1
    normals = np.frombuffer(content, "i1", 4 * points, 8 + 6 * points).reshape(-1, 4)[:, :3] / 127
    corners = np.frombuffer(content, "<u2", 3 * faces, 8 + 10 * points).reshape(-1, 3)
    return trimesh.Trimesh(places, corners, process=False), normals


def test_a_small_mesh_is_kept_as_it_is() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=5).apply_translation([100, 200, -300])
    found, normals = unpacked(small_mesh(ply(ball)))
    assert np.array_equal(found.faces, ball.faces)
    np.testing.assert_allclose(found.vertices, (ball.vertices - [100, 200, -300]) / 5, atol=1e-4)
    np.testing.assert_allclose(normals, found.vertices, atol=0.02)


def test_a_large_ball_stays_a_ball() -> None:
    ball = trimesh.creation.icosphere(subdivisions=7)
    found, normals = unpacked(small_mesh(ply(ball)))
    assert 5_000 < len(found.faces) <= 20_000 < len(ball.faces)
    assert found.volume == pytest.approx(4 / 3 * np.pi, rel=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found.vertices, axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(normals, found.vertices, atol=0.05)
    few, _ = unpacked(small_mesh(ply(ball), most=500))
    assert len(few.faces) <= 500


def test_edges_and_corners_stay_sharp() -> None:
    box = trimesh.creation.box((2, 1.4, 1.7))
    for _ in range(6):
        box = box.subdivide()
    box.apply_transform(trimesh.transformations.rotation_matrix(0.3, [0, 0, 1]))
    found, _ = unpacked(small_mesh(ply(box), most=3000))
    scale = np.ptp(box.vertices, axis=0).max() / 2
    assert found.volume * scale**3 == pytest.approx(2 * 1.4 * 1.7, rel=2e-3)
    corners = trimesh.creation.box((2, 1.4, 1.7)).apply_transform(
        trimesh.transformations.rotation_matrix(0.3, [0, 0, 1])
    )
    gaps = np.linalg.norm(found.vertices[:, None] * scale - corners.vertices, axis=2).min(axis=0)
    assert gaps.max() < 0.03  # a cube of the grid is 0.09 long


def test_a_page_holds_equal_meshes_once_and_links_those_beyond_the_budget(tmp_path) -> None:
    for name in ("0", "1"):
        folder = run(tmp_path / name, {"signal": "shape"}, pictures=False)
        trimesh.creation.icosphere(subdivisions=4).export(folder / "mesh.ply")
    page = dashboard.build(tmp_path)
    (uri,) = block(page, "pictures").values()
    found, _ = unpacked(base64.b64decode(uri.removeprefix("data:model/ply;base64,")))
    assert len(found.faces) == 5120
    data = block(page, "runs")
    assert data["media"] == [{"file": "mesh.ply", "link": "mesh.ply", "title": "mesh", "element": "canvas"}]
    assert {each["media"]["mesh.ply"][0] for each in data["runs"]} == block(page, "pictures").keys()
    assert data["runs"][0]["media"]["mesh.ply"][1:3] == [0, 0]
    for budget in (0, 1000):
        page = dashboard.build(tmp_path, budget=budget)
        assert block(page, "pictures") == {}
        assert {each["media"]["mesh.ply"][0] for each in block(page, "runs")["runs"]} == {None}


def test_points_alone_are_linked(tmp_path) -> None:
    folder = run(tmp_path / "0", {}, pictures=False)
    trimesh.PointCloud(np.eye(3)).export(folder / "points.ply")
    (folder / "empty.ply").write_bytes(b"")
    found = runs_of(tmp_path)["0"]
    assert found["problems"] == []
    assert [found["media"][name][0] for name in ("points.ply", "empty.ply")] == [None, None]


def damaged() -> dict[str, bytes]:
    whole = ply(trimesh.creation.box())
    far = trimesh.creation.box()
    far.faces = far.faces + 1
    infinite = trimesh.creation.box()
    infinite.vertices[0, 0] = np.inf
    return {
        "cut": whole[:-20],
        "many": whole.replace(b"element vertex 8", b"element vertex 999999999"),
        "head": b"ply\nformat ascii 1.0\nelement face 3\n",
        "missing": ply(far),
        "infinite": ply(infinite),
    }


@pytest.mark.parametrize("name", damaged())
def test_a_damaged_mesh_is_named_and_stops_nothing(name, tmp_path) -> None:
    folder: Path = run(tmp_path / "0", {}, pictures=False)
    (folder / "mesh.ply").write_bytes(damaged()[name])
    found = runs_of(tmp_path)["0"]
    assert found["status"] == "damaged"
    assert found["problems"][0].startswith(("mesh.ply is no whole PLY of a mesh", "mesh.ply is a mesh of vertices"))
