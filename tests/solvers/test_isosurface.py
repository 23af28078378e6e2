"""Meshes of surfaces that are known: closed, of the right kind, at the right place, whatever the blocks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from sinefield.activations.sine import Sine
from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP
from sinefield.solvers.isosurface import extract, extract_field

LOW, HIGH = [-1.0, -0.9, -0.8], [1.1, 1.0, 0.95]
MIDDLE = torch.tensor([0.03, -0.02, 0.05], dtype=torch.float64)  # on no plane of the grid


def sphere(x: Tensor) -> Tensor:
    return (x - MIDDLE).norm(dim=1, keepdim=True) - 0.6


def torus(x: Tensor) -> Tensor:
    x = x - MIDDLE
    return torch.hypot(x[:, :2].norm(dim=1) - 0.5, x[:, 2])[:, None] - 0.22


def two_balls(x: Tensor) -> Tensor:
    """The larger one at (-0.4, 0, 0)."""
    centres = x.new_tensor([[-0.4, 0, 0], [0.5, 0.1, 0]])
    return (torch.cdist(x, centres) - x.new_tensor([0.35, 0.2])).amin(dim=1, keepdim=True)


def cube(x: Tensor) -> Tensor:
    """Zero at corners of the grid, exactly."""
    return x.abs().amax(dim=1, keepdim=True) - 0.5


def waves(x: Tensor) -> Tensor:
    """Of hundreds of components and handles, below the size of a cell some of them."""
    random = torch.Generator().manual_seed(0)
    w = 20 * torch.randn(3, 50, generator=random, dtype=torch.float64)
    return torch.sin(x @ w + 6 * torch.rand(50, generator=random)).sum(1, keepdim=True) / 25 + 4 * sphere(x)


def mesh(function, resolution: int, low=LOW, high=HIGH, **options) -> trimesh.Trimesh:
    vertices, faces = extract(function, low, high, resolution, **options)
    assert (vertices.dtype, faces.dtype) == (np.float64, np.int64)
    return trimesh.Trimesh(vertices, faces, process=False)  # as it is: nothing merged or mended


def distances(function, found: trimesh.Trimesh) -> np.ndarray:
    """Of the vertices and the faces' middles to the surface, by a function that is the distance."""
    points = np.concatenate([found.vertices, found.triangles_center])
    return function(torch.from_numpy(points))[:, 0].abs().numpy()


@pytest.mark.parametrize(("function", "euler"), [(sphere, 2), (torus, 0), (two_balls, 4), (cube, 2), (waves, None)])
@pytest.mark.parametrize("resolution", [30, 72])
def test_a_closed_surface_is_closed_outward_and_of_its_kind(function, euler, resolution) -> None:
    low, high = ([-1] * 3, [1] * 3) if function is cube else (LOW, HIGH)
    found = mesh(function, resolution, low, high)
    assert found.is_watertight
    assert found.is_winding_consistent
    assert found.volume > 0  # outward
    assert euler is None or found.euler_number == euler
    assert len(np.unique(found.faces)) == len(found.vertices)


@pytest.mark.parametrize("function", [sphere, torus])
def test_the_distance_to_the_surface_falls_as_the_square_of_the_cells(function) -> None:
    coarse, fine = (np.square(distances(function, mesh(function, n))).mean() ** 0.5 for n in (32, 128))
    order = np.log(coarse / fine) / np.log(4)
    assert 1.9 < order < 2.1


def test_newton_s_steps_bring_the_vertices_to_the_surface_at_a_higher_order() -> None:
    errors = {}
    for newton in (0, 1, 2):
        vertices, _ = extract(torus, LOW, HIGH, 40, jet=lambda x, order: autograd_jet(torus, x, order), newton=newton)
        errors[newton] = torus(torch.from_numpy(vertices)).abs().max().item()
    plain, _ = extract(torus, LOW, HIGH, 40)
    assert errors[0] == torus(torch.from_numpy(plain)).abs().max().item() > 1e-4
    assert errors[1] < 1e-10  # a distance is linear along its gradient
    vertices, _ = extract(lambda x: sphere(x) ** 3, LOW, HIGH, 40, jet=lambda x, order: autograd_jet(sphere, x, order))
    assert sphere(torch.from_numpy(vertices)).abs().max() < 1e-10  # however curved what the cells were cut by


def test_a_step_is_at_most_half_a_cell_and_finite() -> None:
    def wrong(x: Tensor, order: int) -> Jet:
        return Jet(torch.ones(len(x), 1), torch.zeros(len(x), 1, 3) if x[0, 0] < 0 else torch.full((len(x), 1, 3), 0.1))

    plain, _ = extract(sphere, LOW, HIGH, 32)
    moved, _ = extract(sphere, LOW, HIGH, 32, jet=wrong, newton=1)
    assert np.linalg.norm(moved - plain, axis=1).max() < 0.5001 * 2.1 / 32


@pytest.mark.parametrize("function", [torus, waves])
def test_the_blocks_change_nothing(function) -> None:
    vertices, faces = extract(function, LOW, HIGH, 60, block=64)
    for block in (4, 17, 28):
        other, others = extract(function, LOW, HIGH, 60, block=block)
        np.testing.assert_allclose(other, vertices, rtol=0, atol=1e-7)  # the middle of a cell is in single precision
        assert np.array_equal(*(np.unique(part, axis=0) for part in (faces, others)))


def test_values_on_a_side_that_blocks_share_are_asked_for_once() -> None:
    """In another batch they might be rounded to another sign, and the surface had a hole."""
    random = torch.Generator().manual_seed(0)

    def rounded(x: Tensor) -> Tensor:
        return sphere(x) + 0.02 * torch.rand(len(x), 1, generator=random)

    assert mesh(rounded, 48, block=12, margin=3).is_watertight


@pytest.mark.parametrize("slope", [1e-3, 1.0, 1e5])
def test_the_surface_is_followed_where_the_function_is_steeper_than_the_margin(slope) -> None:
    flat, steep = mesh(torus, 140), mesh(lambda x: slope * torus(x), 140)
    assert steep.is_watertight
    assert steep.faces.shape == flat.faces.shape
    np.testing.assert_allclose(steep.vertices, flat.vertices, atol=1e-9)


@pytest.mark.parametrize("level", [-0.1, 0.2])
def test_another_level_is_another_sphere(level) -> None:
    found = mesh(sphere, 40, level=level)
    np.testing.assert_allclose(np.linalg.norm(found.vertices - MIDDLE.numpy(), axis=1), 0.6 + level, atol=2e-3)


def test_the_box_cuts_the_surface_off() -> None:
    found = mesh(sphere, 40, high=[0.3, 1, 0.95])
    edges = found.edges[trimesh.grouping.group_rows(found.edges_sorted, require_count=1)]
    assert len(edges) > 0
    assert np.allclose(found.vertices[edges.ravel(), 0], 0.3)


def test_few_points_are_evaluated_and_little_memory_is_used() -> None:
    count = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal count
        count += len(x)
        return sphere(x)

    extract(counted, LOW, HIGH, 16)  # imports
    count, asked = 0, []
    tracemalloc.start()
    vertices, faces = extract(counted, LOW, HIGH, 320, block=32, progress=lambda *blocks: asked.append(blocks))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    cells = 4 * np.pi * 0.6**2 / (2.1 / 320) ** 2  # of the surface
    assert count < 15 * cells < 0.05 * 320**3
    mesh_bytes, all_points = vertices.nbytes + faces.nbytes, 8 * 320**3
    assert peak < 5 * mesh_bytes < all_points / 4
    assert asked[0][0] == 1
    assert asked[-1][0] == asked[-1][1] == len(asked)


def test_a_network_in_its_own_precision() -> None:
    torch.manual_seed(0)
    field = CoordinateMLP(3, 1, 16, 1, activation=Sine(omega0=5))
    with torch.no_grad():
        level = float(field(torch.zeros(1, 3)))
    vertices, _ = extract_field(field, LOW, HIGH, 24, level=level)
    with torch.no_grad():
        np.testing.assert_allclose(field(torch.from_numpy(vertices).float()).numpy(), level, atol=2e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"values": lambda x: sphere(x) + 5}, "no surface: f is nowhere 0 in the box"),
        ({"values": lambda x: sphere(x).abs() + 1e-9}, "no surface"),
        ({"values": lambda x: sphere(x).log()}, "not finite"),
        ({"values": lambda x: x}, "one channel"),
        ({"high": [1, 1, -1]}, "three larger"),
        ({"low": [0, 0]}, "three numbers"),
        ({"resolution": 0}, "resolution must be"),
        ({"margin": -1}, "margin must be"),
    ],
)
def test_a_mistake_is_one_line(arguments, said) -> None:
    with pytest.raises(UserError, match=said) as caught:
        extract(**({"values": sphere, "low": LOW, "high": HIGH, "resolution": 16} | arguments))
    assert "\n" not in str(caught.value)
