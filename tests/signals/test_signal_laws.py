"""What holds for every signal, built small from its YAML: a new file is tested by being there."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from discover import build, concrete, described, distance, targets
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from PIL import Image as Picture

from sinefield.core.jet import Jet, autograd_jet
from sinefield.signals.base import Axis, Signal

pytestmark = pytest.mark.usefixtures("float64")

TOLERANCE = 1e-10  # norm-wise relative: second differences of some 30 samples
SIZE = 12
# Signals of many pictures, whose points say of which they are, have tests of their own.
ONE = [name for name, node in described("signal").items() if not get_class(node._target_).conditions]
# Elsewhere the derivatives are not those of the values, and have tests of their own.
OWN_DERIVATIVES = [name for name in ONE if get_class(described("signal")[name]._target_).potential]


@pytest.fixture(scope="module")
def knobs(tmp_path_factory):
    """What every signal is built with: a small size, and colour pictures of 48 x 32 pixels, channels unlike."""
    y, x = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 48), indexing="ij")
    waves = np.stack([np.sin(7 * x + 2 * y), np.cos(5 * x * y), x**2 - y], axis=-1)
    paths = [str(tmp_path_factory.mktemp("signals") / name) for name in ("a.tif", "b.tif")]
    for path, values in zip(paths, (waves, waves[::-1]), strict=True):
        Picture.fromarray((127.5 + 127.5 * values).clip(0, 255).astype(np.uint8)).save(path)
    return {"size": SIZE, "path": paths[0], "paths": paths}


def small(node: DictConfig, knobs: dict) -> DictConfig:
    """The node with `knobs` for those of their names, at any depth."""
    for key in list(node):
        given = None if OmegaConf.is_missing(node, key) else node[key]
        if key == "path" and given is None and not OmegaConf.is_missing(node, key):
            continue  # it is not made of a file
        if key in knobs:
            node[key] = knobs[key]
        elif isinstance(given, DictConfig):
            small(node[key], knobs)
    return node


@pytest.fixture(params=ONE)
def signal(request, knobs) -> Signal:
    return build(small(described("signal")[request.param], knobs))


def test_every_signal_has_a_yaml():
    """So every one is tested here and can be chosen on the command line."""
    assert set(concrete(Signal)) == targets("signal")


class TestJet:
    @pytest.mark.parametrize("signal", OWN_DERIVATIVES, indirect=True)
    def test_equals_autograd(self, signal):
        """Gradient and Laplacian are those of the signal's own values, inside, at samples and in the corners."""
        x = torch.cat([signal.uniform(50, torch.Generator().manual_seed(0)), signal.grid()[:: signal.shape[-1] + 1]])
        corners = torch.stack([-signal.extent, signal.extent])
        x = torch.cat([x, torch.nn.functional.pad(corners, (0, signal.conditions))])
        expected = autograd_jet(lambda x: signal.jet(x, order=0).value, x, order=2)
        expected = expected._replace(gradient=expected.gradient[..., : signal.dims])
        for part, other in zip(signal.jet(x, order=2), expected, strict=True):
            assert distance(part, other) <= TOLERANCE

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_gives_exactly_the_parts_asked_for(self, signal, order):
        """(N, C), (N, C, D), (N, C, 1), in the precision of the coordinates, the same whatever else is asked for."""
        x = signal.uniform(7, torch.Generator().manual_seed(0))
        jet, full = signal.jet(x, order), signal.jet(x, order=2)
        shapes = [(7, signal.channels), (7, signal.channels, signal.dims), (7, signal.channels, 1)]
        for depth, (part, other, shape) in enumerate(zip(jet[:3], full.parts, shapes, strict=True)):
            assert (part is None) == (depth > order)
            if part is not None:
                assert part.shape == shape
                assert part.dtype == x.dtype
                assert distance(part, other) <= 1e-15

    def test_samples_are_the_jet_on_the_grid(self, signal):
        """At all samples, rows first."""
        for part, other in zip(signal.samples(order=2).parts, signal.jet(signal.grid(), order=2).parts, strict=True):
            assert torch.equal(part, other)

    def test_values_are_normalised(self, signal):
        """The samples fill a good part of [-1, 1] and leave it by no more than a resampling filter's overshoot."""
        values = signal.samples().value
        assert 0.5 < values.abs().max() < 1.2

    def test_power_is_the_mean_square(self, signal):
        """E over samples of the square, summed over channels and axes, and (pi/2)^2 of the one below at least."""
        jet = signal.samples(order=2)
        expected = 0.0
        for part, power in zip(jet.parts, signal.mean_squares(2).parts, strict=True):
            expected = max(np.mean([np.sum(point**2) for point in part.numpy()]), (math.pi / 2) ** 2 * expected)
            assert power.shape == ()
            assert power.item() == pytest.approx(expected, rel=1e-12)
        assert signal.mean_squares(0).order == 0

    def test_refined_holds_the_samples(self, signal):
        """Every second point of the grid twice as fine, where that is known, is a sample."""
        fine = signal.held_out_grid()
        if fine is not None:
            assert fine.shape == (*signal.fine_shape(2), signal.channels)
            even = fine[tuple(slice(None, None, 2) for _ in signal.shape)]
            assert distance(even.reshape(-1, signal.channels), signal.samples().value) <= 1e-12

    def test_integral_is_that_of_the_gradient(self, signal):
        """Along lines anywhere in the box: the midpoint rule with 2,000 nodes, whose error is below 1e-5.

        Where the gradient jumps it is of first order.
        """
        start, end = (signal.uniform(10, torch.Generator().manual_seed(s)) for s in (0, 1))
        end[:, signal.dims :] = start[:, signal.dims :]
        t = (torch.arange(2000) + 0.5)[:, None, None] / 2000
        nodes = (start + t * (end - start)).flatten(0, 1)
        along = signal.jet(nodes, order=1).gradient.unflatten(0, (2000, 10)).mean(dim=0)
        along = along @ (end - start)[:, : signal.dims, None]
        assert distance(signal.integral(start, end), along.squeeze(-1)) < (1e-4 if signal.smooth else 1e-2)

    def test_border_lies_on_the_box(self, signal):
        """Points where values may be given: on its sides, or in the box at least; a function of the seed."""
        first, again = (signal.border(50, torch.Generator().manual_seed(0)) for _ in range(2))
        assert first.shape == (50, signal.dims + signal.conditions)
        assert torch.equal(first, again)
        assert (first[:, : signal.dims].abs() <= signal.extent + 1e-15).all()

    def test_uniform_fills_the_box(self, signal):
        """Every point in the box, all of it; a function of the generator's seed."""
        first, again, other = (signal.uniform(2000, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
        assert first.shape == (2000, signal.dims + signal.conditions)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        unit = first[:, : signal.dims] / signal.extent
        assert (unit.abs() <= 1).all()
        assert (unit.abs().amax(dim=0) > 0.99).all()
        assert (unit.std(dim=0) - 3**-0.5).abs().max() < 0.03

    def test_moves_with_its_buffers(self, signal):
        """In single precision it answers in single precision, with the same values to 1e-5."""
        x = signal.uniform(7, torch.Generator().manual_seed(0))
        expected = signal.jet(x, order=0).value
        found = signal.float().jet(x.float(), order=0).value
        assert found.dtype == torch.float32
        assert distance(found.double(), expected) < 1e-5


class Quadratic(Signal):
    """x^T A x on a grid of any shape and dimension."""

    def __init__(self, *shape: int) -> None:
        super().__init__(shape, 1)
        self.a = torch.arange(1.0, self.dims**2 + 1).reshape(self.dims, self.dims)

    def jet(self, x, order):
        both = self.a + self.a.T
        value = torch.einsum("ni,ij,nj->n", x, self.a, x)[:, None]
        return Jet(*(value, (x @ both)[:, None], both.trace().expand(len(x), 1, 1))[: order + 1])


class TestGrid:
    """Coordinates of samples: the base class, for pictures upright and wide, curves and volumes."""

    SHAPES = ((9,), (5, 5), (4, 6), (6, 4), (21, 31), (4, 5, 7))

    @pytest.mark.parametrize("shape", SHAPES)
    def test_coordinates_are_x_then_y_from_the_upper_left(self, shape):
        """Sample (i, j) lies at x = -X + j h, y = -Y + i h with h = 2/(n - 1), n along the longest side."""
        signal = Quadratic(*shape)
        h = 2 / (max(shape) - 1)
        axes = [np.arange(n) * h - (n - 1) * h / 2 for n in shape]
        expected = torch.tensor([point[::-1] for point in product(*axes)])
        assert distance(signal.grid(), expected) < 1e-15
        assert len(signal) == len(expected)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_longest_side_spans_the_unit_box(self, shape):
        """The longest side from -1 to 1 exactly, corner samples on the corners of the box, all centred on 0."""
        signal = Quadratic(*shape)
        grid = signal.grid()
        assert signal.extent.max().item() == pytest.approx(1, abs=1e-15)
        assert torch.allclose(grid[0], -signal.extent, atol=1e-15)
        assert torch.allclose(grid[-1], signal.extent, atol=1e-15)
        sides = torch.tensor([n - 1.0 for n in reversed(shape)])
        assert torch.allclose(signal.extent, sides / sides.max(), atol=1e-15)

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("upsampling", [1, 2, 3])
    def test_a_finer_grid_holds_the_samples(self, shape, upsampling):
        """`upsampling` parts per spacing, the samples among them; any selection by number."""
        signal = Quadratic(*shape)
        fine = signal.grid(upsampling=upsampling)
        assert len(fine) == math.prod(signal.fine_shape(upsampling))
        every = tuple(slice(None, None, upsampling) for _ in shape)
        nested = fine.reshape(*signal.fine_shape(upsampling), len(shape))[every].reshape(-1, len(shape))
        assert distance(nested, signal.grid()) < 1e-15
        index = torch.tensor([0, len(fine) // 3, len(fine) - 1])
        assert torch.equal(signal.grid(index, upsampling=upsampling), fine[index])

    @pytest.mark.parametrize("shape", SHAPES)
    def test_pixels_undo_coordinates(self, shape):
        """The first sample lies at (0, 0), the last at its numbers of column and row."""
        signal = Quadratic(*shape)
        last = torch.tensor([[n - 1.0 for n in reversed(shape)]])
        assert distance(signal.pixels(signal.extent[None]), last) < 1e-14
        positions = 7 * torch.rand(5, len(shape))
        assert distance(signal.pixels(signal.coordinates(positions)), positions) < 1e-14

    def test_axes_have_extents_of_their_own(self):
        """Time has its own; the others share one spacing, and the longest of them spans [-1, 1]."""

        class Film(Quadratic):
            def __init__(self) -> None:
                Signal.__init__(self, (5, 9, 21), 1, (Axis("x"), Axis("y"), Axis("t", "s", extent=3.0, length=0.16)))

        film = Film()
        assert film.extent.tolist() == [1.0, 0.4, 3.0]
        assert film.spacings == pytest.approx((0.1, 0.1, 1.5))
        assert film.spacing == pytest.approx(0.1)
        grid = film.grid().reshape(5, 9, 21, 3)
        assert torch.allclose(grid[-1, -1, -1], torch.tensor([1.0, 0.4, 3.0]))
        assert torch.allclose(grid[0, 0, 0], torch.tensor([-1.0, -0.4, -3.0]))
        assert torch.allclose(film.pixels(film.grid())[21], torch.tensor([0.0, 1.0, 0.0]), atol=1e-5)

    def test_power_of_a_signal_that_is_nowhere(self):
        """An error relative to nothing is taken absolutely, and that of a derivative relative to the one below."""
        signal = Quadratic(5, 5)
        signal.a = torch.zeros(2, 2)
        found = [part.item() for part in signal.mean_squares(2).parts]
        assert found == pytest.approx([1, (math.pi / 2) ** 2, (math.pi / 2) ** 4])
        signal.a = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
        power = signal.mean_squares(2)
        assert power.gradient.item() == pytest.approx(4 * signal.grid().square().sum(1).mean().item())
        assert power.laplacian.item() == pytest.approx((math.pi / 2) ** 2 * power.gradient.item())
