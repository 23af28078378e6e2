"""A prior over pictures is scored against what needs no training: linear interpolation and principal components."""

import pytest
import torch

from sinefield.evaluation.collection import linear
from sinefield.fields.components import Components
from sinefield.fields.conditional import Observation

pytestmark = pytest.mark.usefixtures("float64")
SIDE = 5


def observation(values, seen):
    axis = torch.linspace(-1, 1, SIDE)
    x = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
    numbers = torch.zeros(len(values), dtype=torch.long)
    return Observation(numbers, numbers, x, values * seen[..., None], seen, (SIDE, SIDE))


class TestComponents:
    def test_a_picture_among_few_directions_is_found_from_few_pixels(self):
        """Pictures that are mixtures of two: three known pixels say which mixture."""
        basis = torch.randn(2, SIDE**2, 1)
        pictures = torch.einsum("pk,ksc->psc", torch.randn(40, 2), basis)
        seen = torch.zeros(3, SIDE**2, dtype=torch.bool)
        seen[:, :3] = True
        found = Components(pictures, 2).complete(observation(pictures[:3], seen))
        assert (found - pictures[:3]).abs().max() < 1e-3

    def test_it_is_the_conditional_mean_of_a_gaussian(self):
        """m_h + C_hs C_ss^-1 (s - m_s) with C = D D^T + r I, of all numbers at once."""
        pictures = torch.randn(30, SIDE**2, 2)
        seen = torch.rand(1, SIDE**2) < 0.4
        rival = Components(pictures, 6)
        found = rival.complete(observation(pictures[:1], seen))[0].flatten()
        directions, mean = rival.directions.flatten(0, 1), rival.mean.flatten()
        known = seen[0].repeat_interleave(2)
        inner = directions[known] @ directions[known].T + rival.rest * torch.eye(int(known.sum()))
        away = torch.linalg.solve(inner, pictures[0].flatten()[known] - mean[known])
        torch.testing.assert_close(found, mean + directions @ (directions[known].T @ away))

    def test_directions_have_the_variance_of_the_pictures(self):
        """The squares of all add up to it; of pictures with nothing in common those of one half leave the other's."""
        pictures = torch.randn(8, SIDE**2, 1)
        rival = Components(pictures, 100)
        assert rival.directions.shape == (SIDE**2, 1, 7)
        torch.testing.assert_close(rival.directions.square().sum(2), pictures.var(0, correction=0))
        assert 0.5 < rival.rest < 2


class TestLinear:
    def test_a_plane_is_kept_inside_and_the_nearest_is_taken_outside(self):
        seen = torch.zeros(1, SIDE**2, dtype=torch.bool)
        seen[0, [0, 4, 20, 24]] = True
        whole = observation(torch.zeros(1, SIDE**2, 1), seen)
        plane = (whole.x @ torch.tensor([[1.0], [0.5]]))[None]
        torch.testing.assert_close(linear(observation(plane, seen)), plane)

    @pytest.mark.parametrize("kept", [[7], [7, 9], [10, 11, 12, 13, 14]])
    def test_points_without_a_triangle(self, kept):
        """One, two, or a whole row: the nearest of them everywhere."""
        seen = torch.zeros(1, SIDE**2, dtype=torch.bool)
        seen[0, kept] = True
        values = torch.rand(1, SIDE**2, 3)
        found = linear(observation(values, seen))
        assert torch.equal(found[0, kept], values[0, kept])
        assert found.isfinite().all()
