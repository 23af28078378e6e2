"""Many small networks along one axis as one field."""

import pytest
import torch
from discover import distance

from sinefield.activations.sine import Sine
from sinefield.activations.tanh import Tanh
from sinefield.core.jet import autograd_jet
from sinefield.encodings.fourier import Fourier
from sinefield.errors import UserError
from sinefield.fields.partition import Partition

pytestmark = pytest.mark.usefixtures("float64")


def made(dims=1, channels=1, **knobs):
    return Partition(
        dims,
        channels,
        **{"width": 8, "depth": 1, "samples": 1000, "part": 200, "first_scale": 2.0, "activation": Sine(3.0)} | knobs,
    )


def points(dims):
    """Anywhere, on the boundaries between parts, and at the ends of the blended places."""
    x = 2 * torch.rand(100, dims) - 1
    special = torch.tensor([-1.0, 1.0, -0.6, 0.2, 0.2 - 0.08, 0.2 + 0.08])
    x[:6] = special[:, None]
    return x


class TestJet:
    @pytest.mark.parametrize(("dims", "channels", "axis"), [(1, 1, 0), (1, 2, 0), (2, 3, 1), (3, 1, 0)])
    @pytest.mark.parametrize("overlap", [0.4, 1.0])
    def test_equals_autograd(self, dims, channels, axis, overlap):
        field = made(dims, channels, axis=axis, overlap=overlap)
        x = points(dims)
        for operators in (None, torch.eye(dims), torch.randn(3, dims)):
            expected = autograd_jet(field, x, order=2, operators=operators)
            found = field.jet(x, order=2, operators=operators)
            for part, other in zip(found.parts, expected.parts, strict=True):
                assert distance(part, other) < 1e-12
            for order in (0, 1):
                for part, other in zip(field.jet(x, order).parts, found.parts, strict=False):
                    assert distance(part, other) < 1e-12

    @pytest.mark.parametrize("encoded", [False, True])
    @pytest.mark.parametrize("activation", [Sine(3.0), Tanh()])
    def test_of_other_layers(self, activation, encoded):
        field = made(activation=activation, encoding=Fourier(1, frequencies=4, sigma=1.0) if encoded else None)
        x = points(1)
        for part, other in zip(field.jet(x, 2).parts, autograd_jet(field, x, 2).parts, strict=True):
            assert distance(part, other) < 1e-12

    def test_is_smooth_where_parts_meet(self):
        """Value, slope and second derivative from both sides of a boundary and of a blended place's ends."""
        field = made(overlap=0.4)
        for place in (-0.6, 0.2, 0.2 - 0.08, 0.2 + 0.08):
            left, right = (field.jet(torch.tensor([[place + shift]]), 2) for shift in (-1e-9, 1e-9))
            for part, other in zip(left.parts, right.parts, strict=True):
                assert (part - other).abs().max() < 1e-5 * (1 + part.abs().max())

    def test_inside_a_part_it_is_one_network(self):
        """The other networks count for nothing there, in value and in gradient."""
        field = made()
        x = torch.tensor([[-0.8], [0.0]])  # middles of the first and the third of five
        field(x).sum().backward()
        gradient = field.networks.layers[1].weight.grad
        assert [bool(part.any()) for part in gradient] == [True, False, True, False, False]
        k = 2
        hidden = [(layer.weight[k], layer.bias[k]) for layer in field.networks.linear_maps()]
        h = torch.zeros(1)
        for weight, bias in hidden:
            h = torch.sin(3.0 * (weight @ h + bias))
        expected = field.head.weight[k] @ h + field.head.bias[k]
        assert distance(field(x)[1], expected) < 1e-14

    def test_only_the_networks_at_the_points_are_computed(self, monkeypatch):
        field, computed, layers = made(), [], Partition._layers

        def counting(self, z, *rest):
            computed.append(len(z))
            return layers(self, z, *rest)

        monkeypatch.setattr(Partition, "_layers", counting)
        field(torch.linspace(-0.85, -0.75, 50)[:, None])
        field(torch.linspace(-1, 1, 50)[:, None])
        assert computed == [1, 5]

    def test_gradients_of_the_weights(self):
        """As those of the same sum without grouping, which is what a transform of torch.func computes."""
        field, x = made(), points(1)
        field(x).square().sum().backward()
        own = {name: p.grad for name, p in field.named_parameters()}
        weights = {name: p.detach() for name, p in field.named_parameters()}
        other = torch.func.grad(lambda w: torch.func.functional_call(field, w, (x,)).square().sum())(weights)
        for name, gradient in own.items():
            assert distance(gradient, other[name]) < 1e-12

    def test_under_transforms(self):
        field, x = made(2, 3, axis=1), points(2)
        assert distance(torch.func.vmap(lambda point: field(point[None])[0])(x), field(x)) < 1e-13
        rows = torch.func.vmap(torch.func.jacrev(lambda point: field(point[None])[0]))(x)
        assert distance(rows, field.jet(x, 1).gradient) < 1e-12

    @pytest.mark.parametrize("batch", [(), (0,), (4, 5), (1, 1)])
    def test_any_shape_of_points(self, batch):
        assert made(2, 3)(torch.zeros(*batch, 2)).shape == (*batch, 3)


class TestParts:
    @pytest.mark.parametrize(("samples", "part", "parts"), [(1000, 200, 5), (1000, 4800, 1), (10, 3, 3)])
    def test_follow_the_length(self, samples, part, parts):
        field = made(samples=samples, part=part)
        assert field.parts == parts
        assert field(points(1)).isfinite().all()

    def test_each_starts_with_its_own_weights_whose_frequencies_follow_the_sampling(self):
        field = made(first_scale=20.0, width=64)
        first = field.networks.layers[0].weight
        assert not torch.equal(first[0], first[1])
        assert 18 < first.abs().max() <= 20

    def test_state_goes_and_comes(self):
        field, other, x = made(), made(), points(1)
        assert not torch.equal(field(x), other(x))
        other.load_state_dict(field.state_dict())
        assert torch.equal(field(x), other(x))

    @pytest.mark.parametrize(
        ("knobs", "said"),
        [
            ({"part": 0}, "field.part"),
            ({"overlap": 1.5}, "field.overlap"),
            ({"overlap": 0.0}, "field.overlap"),
            ({"axis": 1}, "field.axis"),
            ({"first_scale": -1.0}, "field.first_scale"),
            ({"samples": 10**9, "part": 1}, "weights"),
        ],
    )
    def test_refused(self, knobs, said):
        with pytest.raises(UserError, match=said):
            made(**knobs)
