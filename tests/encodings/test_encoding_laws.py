"""What holds for every encoding, built from its YAML, and what the shipped ones promise."""

import math

import pytest
import torch
from discover import build, concrete, described, distance, targets

from sinefield.activations.sine import Sine
from sinefield.core.jet import autograd_jet, coordinates, elementwise, linear
from sinefield.encodings.base import Encoding
from sinefield.encodings.fourier import Fourier
from sinefield.encodings.hashgrid import PRIMES, HashGrid
from sinefield.encodings.identity import Identity
from sinefield.encodings.positional import Positional
from sinefield.encodings.radial import Radial
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP

pytestmark = pytest.mark.usefixtures("float64")

TOLERANCE = 1e-10  # norm-wise relative; phases reach some hundred radians
every = pytest.mark.parametrize("name", described("encoding"))
dimensions = pytest.mark.parametrize("dims", [1, 2, 3])


def encoding(name: str, dims: int, samples: int = 64) -> Encoding:
    return build(described("encoding")[name], dims=dims, channels=1, samples=samples)


def square(z, order):
    return (z * z, 2 * z, torch.full_like(z, 2.0))[: order + 1]


def test_every_encoding_has_a_yaml():
    """So every one is tested here and can be chosen on the command line."""
    assert set(concrete(Encoding)) == targets("encoding")


class TestEvery:
    @every
    @dimensions
    def test_jet_equals_autograd(self, name, dims):
        """The rule on jets gives what autograd finds of its own values, in three random sums of all features."""
        encode, x = encoding(name, dims), 2 * torch.rand(20, dims) - 1
        mix = torch.randn(3, encode.features)
        found = linear(encode(coordinates(x, order=2)), mix)
        expected = autograd_jet(lambda x: encode(coordinates(x, order=0)).value @ mix.T, x, order=2)
        for part, other in zip(found, expected, strict=True):
            assert distance(part, other) <= TOLERANCE

    @every
    @dimensions
    def test_composes_with_a_curved_map_in_front(self, name, dims):
        """The rule holds for coordinates whose own Laplacian is not zero."""
        encode, x, w = encoding(name, dims), 2 * torch.rand(20, dims) - 1, torch.randn(dims, dims) / 2
        mix = torch.randn(3, encode.features)
        for operators in (None, torch.eye(dims), torch.randn(2, dims)):
            found = linear(encode(elementwise(linear(coordinates(x, 2, operators), w), square)), mix)
            expected = autograd_jet(lambda x: encode(coordinates((x @ w.T) ** 2, 0)).value @ mix.T, x, 2, operators)
            for part, other in zip(found.parts, expected.parts, strict=True):
                assert distance(part, other) <= TOLERANCE

    @every
    @dimensions
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_gives_the_features_and_the_parts_promised(self, name, dims, order):
        """(N, F), (N, F, D), (N, F, 1) with F = encoding.features, and no more than was asked for."""
        encode = encoding(name, dims)
        jet = encode(coordinates(torch.rand(5, dims), order))
        shapes = [(5, encode.features), (5, encode.features, dims), (5, encode.features, 1)]
        wanted = [shape if depth <= order else None for depth, shape in enumerate(shapes)]
        assert [None if part is None else tuple(part.shape) for part in jet[:3]] == wanted

    @every
    def test_has_second_derivative_is_truthful(self, name):
        """The features' Laplacian vanishes everywhere if and only if `has_second_derivative` is False."""
        encode = encoding(name, 2)
        laplacian = encode(coordinates(2 * torch.rand(50, 2) - 1, order=2)).laplacian
        assert bool((laplacian != 0).any()) == encode.has_second_derivative

    @every
    def test_autocast_leaves_it_as_it_is(self, name):
        """Features in half precision would not know where they are: a phase of 100 radians to 8 bits is none."""
        encode, x = encoding(name, 2).float(), coordinates(torch.rand(5, 2, dtype=torch.float32), order=2)
        with torch.autocast("cpu", torch.bfloat16):
            found = encode(x)
        assert all(distance(part, expected) < 1e-6 for part, expected in zip(found, encode(x), strict=True))

    @every
    @pytest.mark.parametrize("channels", [1, 3])  # of which 1 takes the gradient in reverse
    @pytest.mark.parametrize("order", [0, 1])
    def test_what_is_trained_is_trained_through_a_field(self, name, channels, order):
        """Of a trained encoding every parameter gets the gradient that the plain rules give, through every kernel."""
        encode, x = encoding(name, 2, samples=8), 2 * torch.rand(50, 2) - 1
        field = CoordinateMLP(2, channels, 8, 1, activation=Sine(), encoding=encode)
        trained = list(encode.parameters())
        if not trained:
            assert all(not part.requires_grad for part in encode(coordinates(x, order)).parts)
            return
        plain = autograd_jet(field, x, order).parts[order].square().sum()
        found, expected = (
            torch.autograd.grad(s, trained) for s in (field.jet(x, order).parts[order].square().sum(), plain)
        )
        for part, other in zip(found, expected, strict=True):
            assert distance(part, other) < TOLERANCE
            assert part.any()

    @every
    def test_state_dict_round_trip(self, name):
        """A second encoding, drawn anew and loaded with the first one's state, gives identical features."""
        first, second = encoding(name, 2), encoding(name, 2)
        second.load_state_dict(first.state_dict())
        x = coordinates(torch.rand(5, 2), order=2)
        assert all(torch.equal(part, other) for part, other in zip(first(x).parts, second(x).parts, strict=True))

    @every
    def test_follows_the_default_precision(self, name):
        """Its constants are float64 here: a field in double precision is so throughout."""
        jet = encoding(name, 2)(coordinates(torch.rand(5, 2), order=2))
        assert {part.dtype for part in jet.parts} == {torch.float64}


class TestIdentity:
    @dimensions
    def test_is_the_coordinates(self, dims):
        x = torch.rand(5, dims)
        encode = Identity(dims)
        assert encode.features == dims
        assert torch.equal(encode(coordinates(x, order=0)).value, x)


class TestPositional:
    @pytest.mark.parametrize(("samples", "octaves"), [(64, 4), (256, 6), (512, 7), (300, 6), (4, 1), (2, 1)])
    @dimensions
    def test_octaves_of_the_sampling(self, dims, samples, octaves):
        """L = floor(log2(n / 4)), at least 1, and D (1 + 2 L) features."""
        assert Positional(dims, samples=samples).features == dims * (1 + 2 * octaves)
        assert Positional(dims, frequencies=octaves).features == dims * (1 + 2 * octaves)

    @pytest.mark.parametrize("samples", [8, 9, 64, 100, 127, 128, 255, 256, 512, 1000])
    def test_highest_frequency_is_within_the_nyquist_rate(self, samples):
        """2^(L-1)/2 cycles per unit stay below n/4, and the octave after the next would pass it."""
        cycles = Positional(2, samples=samples).matrix.max().item() / (2 * math.pi)
        assert cycles <= samples / 4
        assert 4 * 2 * cycles > samples / 4

    def test_features_are_those_of_the_paper(self):
        """x, then sin(2^k pi x_d) by k and d, then the cosines likewise."""
        x = 2 * torch.rand(5, 2) - 1
        phases = torch.cat([2.0**k * math.pi * x for k in range(3)], dim=1)
        expected = torch.cat([x, phases.sin(), phases.cos()], dim=1)
        assert distance(Positional(2, frequencies=3)(coordinates(x, order=0)).value, expected) < 1e-14

    def test_neither_samples_nor_frequencies(self):
        with pytest.raises(UserError, match=r"samples or frequencies"):
            Positional(2)

    @pytest.mark.parametrize("knob", ["samples", "frequencies"])
    @pytest.mark.parametrize("value", [0, -3, 2.5, True, "4"])
    def test_no_whole_number(self, knob, value):
        with pytest.raises(UserError, match=rf"encoding\.{knob} "):
            Positional(2, **{knob: value})


class TestFourier:
    @dimensions
    def test_features_are_sine_and_cosine_of_the_same_phases(self, dims):
        """2 F features; sin^2 + cos^2 = 1, phase by phase, and the phases are linear: zero at the origin."""
        encode = Fourier(dims, frequencies=7)
        assert encode.features == 14
        sines, cosines = encode(coordinates(torch.randn(5, dims), order=0)).value.split(7, dim=1)
        assert distance(sines.square() + cosines.square(), torch.ones(5, 7)) < 1e-14
        origin = encode(coordinates(torch.zeros(1, dims), order=0)).value
        assert torch.equal(origin, torch.cat([torch.zeros(1, 7), torch.ones(1, 7)], dim=1))

    def test_sigma_is_in_cycles_per_unit(self):
        """The gradient of sin(2 pi B x) at 0 is 2 pi B, with B of standard deviation sigma (6000 draws, 4 %)."""
        encode = Fourier(3, frequencies=2000, sigma=4.0)
        b = encode(coordinates(torch.zeros(1, 3), order=1)).gradient[0, :2000] / (2 * math.pi)
        assert b.std().item() == pytest.approx(4, rel=0.04)
        assert abs(b.mean().item()) < 0.2

    @pytest.mark.parametrize("sigma", [0, -1.0, math.nan, math.inf, "5"])
    def test_no_sigma(self, sigma):
        with pytest.raises(UserError, match=r"encoding\.sigma "):
            Fourier(2, sigma=sigma)

    @pytest.mark.parametrize("frequencies", [0, -3, 2.5, True])
    def test_no_number_of_frequencies(self, frequencies):
        with pytest.raises(UserError, match=r"encoding\.frequencies "):
            Fourier(2, frequencies=frequencies)


class TestRadial:
    @dimensions
    def test_lengths_are_spread_evenly_up_to_the_highest(self, dims):
        """With n rows the sorted lengths are those of U(0, highest), nowhere off by more than 3 / n of it."""
        n, highest = 500, 4.0
        lengths = Radial(dims, n, highest).matrix.norm(dim=1).sort().values / (2 * math.pi * highest)
        even = (torch.arange(n) + 0.5) / n
        assert (lengths - even).abs().max() < 3 / n

    @pytest.mark.parametrize("dims", [2, 3])
    def test_all_directions_are_alike(self, dims):
        """The mean of u u^T over the rows is that of the unit sphere, I / D."""
        rows = Radial(dims, 2000).matrix
        directions = rows / rows.norm(dim=1, keepdim=True)
        assert (directions.T @ directions / 2000 - torch.eye(dims) / dims).abs().max() < 0.01
        assert directions.mean(0).norm() < 0.02

    def test_drawn_anew_for_every_seed(self):
        """The same seed gives the same frequencies, another others."""
        rows = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            rows.append(Radial(2).matrix)
        assert torch.equal(rows[0], rows[1])
        assert not torch.equal(rows[0], rows[2])

    @pytest.mark.parametrize("knob", ["frequencies", "highest"])
    @pytest.mark.parametrize("value", [0, -3, math.nan, "4", True])
    def test_no_number(self, knob, value):
        with pytest.raises(UserError, match=rf"encoding\.{knob} "):
            Radial(2, **{knob: value})


class TestHashGrid:
    @dimensions
    def test_a_point_of_a_level_has_its_own_numbers(self, dims):
        """At a point of the grid the features are one row of the table, halfway along an axis the mean of two."""
        encode = HashGrid(dims, levels=1, per_level=3, coarsest=4, finest=4)
        corner = torch.randint(0, 4, (dims,))
        x = 2 * torch.stack([corner, corner + 0.5 * torch.eye(dims)[-1]]) / 4 - 1
        found = encode(coordinates(x, order=0)).value
        row = sum(int(c) * 5 ** (dims - 1 - d) for d, c in enumerate(corner))
        assert distance(found[0], encode.table[row]) < TOLERANCE
        assert distance(found[1], (encode.table[row] + encode.table[row + 1]) / 2) < TOLERANCE

    def test_large_levels_are_hashed_as_the_paper_says(self):
        """Entry (x xor y 2654435761) mod T, in 32 bits as there, behind the dense levels' entries."""
        encode = HashGrid(2, levels=2, per_level=2, log2_entries=6, coarsest=4, finest=32)
        assert len(encode.table) == 25 + 64
        for x, y in [(0, 0), (7, 3), (31, 30)]:
            entry = (x ^ (y * PRIMES[1] % 2**32)) % 64
            found = encode(coordinates(torch.tensor([[x, y]]) * 2 / 32 - 1.0, order=0)).value[0, 2:]
            assert distance(found, encode.table[25 + entry]) < TOLERANCE

    def test_resolutions_grow_by_one_factor(self):
        """16 to 512 in 16 levels: floor(16 b^l), b = 32^(1/15), the paper's 1.26."""
        cells = HashGrid(1, levels=16, coarsest=16, finest=512).cells.tolist()
        assert cells == [math.floor(16 * 32 ** (k / 15) + 1e-9) for k in range(16)]
        assert (cells[0], cells[-1]) == (16, 512)

    @pytest.mark.parametrize("knob", ["levels", "per_level", "log2_entries", "coarsest", "finest"])
    def test_no_number(self, knob):
        for value in (0, -1, True, "4"):
            with pytest.raises(UserError, match=rf"encoding\.{knob} "):
                HashGrid(2, **{knob: value})
