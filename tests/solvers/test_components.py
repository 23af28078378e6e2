"""Parts of a mesh, against trimesh's."""

from __future__ import annotations

import numpy as np
import trimesh

from sinefield.solvers.components import components, largest, vertex_normals


def test_parts_areas_and_the_largest_one() -> None:
    parts = [
        trimesh.creation.icosphere(subdivisions=2, radius=r).apply_translation([3 * r, 0, 0]) for r in (0.2, 1, 0.5)
    ]
    whole = trimesh.util.concatenate(parts)
    of_face, areas = components(whole.vertices, whole.faces)
    np.testing.assert_allclose(areas, [parts[k].area for k in (1, 2, 0)])
    assert np.bincount(of_face).tolist() == [320, 320, 320]
    assert set(of_face[:320]) == {2}
    vertices, faces = largest(whole.vertices, whole.faces)
    one = trimesh.Trimesh(vertices, faces, process=False)
    assert one.is_watertight
    assert len(vertices) == len(parts[1].vertices)
    np.testing.assert_allclose(one.area, parts[1].area)


def test_no_faces_are_no_parts() -> None:
    of_face, areas = components(np.zeros((3, 3)), np.zeros((0, 3), int))
    assert (len(of_face), len(areas)) == (0, 0)


def test_normals_are_those_of_a_sphere() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    np.testing.assert_allclose(vertex_normals(ball.vertices, ball.faces), ball.vertices, atol=0.02)
