"""The coordinate network as a module: its size, its shapes, its state, what it refuses."""

import math

import pytest
import torch
from discover import build, described, distance, pairs

from sinefield.activations.relu import ReLU
from sinefield.activations.sine import Sine
from sinefield.core.jet import autograd_jet
from sinefield.encodings.fourier import Fourier
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP, Siren

pytestmark = pytest.mark.usefixtures("float64")


class TestSize:
    @pytest.mark.parametrize(("dims", "channels", "width", "depth"), [(1, 1, 1, 0), (2, 3, 64, 2), (3, 1, 17, 5)])
    def test_parameters_of_a_siren(self, dims, channels, width, depth):
        """(D + 1) w in the first layer, depth times (w + 1) w hidden, (w + 1) C in the head."""
        field = Siren(dims, channels, width=width, depth=depth)
        expected = (dims + 1) * width + depth * (width + 1) * width + (width + 1) * channels
        assert sum(p.numel() for p in field.parameters()) == expected

    def test_the_papers_network(self):
        """256 wide with 3 hidden layers behind the first: 198 401 parameters for a grey picture."""
        assert sum(p.numel() for p in Siren(2, 1).parameters()) == 198_401

    def test_an_encoding_widens_the_first_layer_alone(self):
        field = CoordinateMLP(2, 1, 16, 1, activation=Sine(), encoding=Fourier(2, frequencies=5))
        assert sum(p.numel() for p in field.parameters()) == 11 * 16 + 17 * 16 + 17


class TestForward:
    @pytest.mark.parametrize("batch", [(5,), (4, 5), (2, 3, 4), (1, 1), (0,)])
    def test_any_shape_of_points(self, batch):
        """(..., D) to (..., C), each point on its own."""
        field, x = Siren(2, 3, width=16, depth=1), torch.rand(*batch, 2)
        assert field(x).shape == (*batch, 3)
        assert torch.allclose(field(x).reshape(-1, 3), field(x.reshape(-1, 2)), atol=1e-14)

    def test_a_single_point(self):
        """(D,) to (C,)."""
        field, x = Siren(2, 3, width=16, depth=1), torch.rand(2)
        assert field(x).shape == (3,)

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_is_the_value_of_the_jet(self, order):
        field, x = Siren(2, 3, width=16, depth=1), torch.rand(5, 2)
        jet = field.jet(x, order)
        assert jet.order == order
        assert torch.allclose(field(x), jet.value, atol=1e-14)

    def test_is_the_equation(self):
        """Depth 1: V sin(w0 (W_1 sin(w0 (W_0 x + b_0)) + b_1)) + c."""
        field, x = Siren(2, 3, width=16, depth=1, omega0=7.0), torch.rand(5, 2)
        (first, hidden), head = field.layers, field.head
        h = torch.sin(7 * (x @ first.weight.T + first.bias))
        h = torch.sin(7 * (h @ hidden.weight.T + hidden.bias))
        assert torch.allclose(field(x), h @ head.weight.T + head.bias, atol=1e-13)

    @pytest.mark.parametrize("samples", [64, 257])
    def test_omega0_by_the_sampling_is_half_the_nyquist_frequency(self, samples):
        """1/(4h) cycles per unit of coordinate, for samples h apart from -1 to 1; hidden layers keep theirs."""
        activation = Sine("auto", samples=samples)
        h = torch.linspace(-1, 1, samples).diff()[0].item()
        assert activation.omega0 == pytest.approx(1 / (4 * h))
        assert activation.hidden_omega0 == 30

    def test_each_axis_may_have_its_own_frequency(self):
        """At the start the field varies along axis d as fast as one of a single axis with that frequency does."""
        fast, slow = (
            CoordinateMLP(2, 1, 64, 0, activation=Sine(omega0=omega)).layers[0].weight.detach()
            for omega in ([30.0, 3.0], 30.0)
        )
        assert fast[:, 0].std().item() == pytest.approx(slow[:, 0].std().item(), rel=0.3)
        assert fast[:, 1].std().item() == pytest.approx(slow[:, 1].std().item() / 10, rel=0.3)
        assert Sine(omega0=[30.0, 3.0]).omega0 == 30.0
        with pytest.raises(UserError, match="has 2 frequencies, and there are 3 axes"):
            CoordinateMLP(3, 1, 8, 0, activation=Sine(omega0=[30.0, 3.0]))
        with pytest.raises(UserError, match=r"activation\.omega0 must be a number, or a list"):
            Sine(omega0=[])

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_first_layer_has_its_own_frequency(self, order):
        """omega0 in the first layer, hidden_omega0 in the others, for the value and its derivatives."""
        field = CoordinateMLP(1, 1, 8, 1, activation=Sine(omega0=7.0, hidden_omega0=3.0))
        x = torch.rand(5, 1)
        (first, hidden), head = field.layers, field.head

        def equation(x):
            h = torch.sin(7 * (x @ first.weight.T + first.bias))
            return torch.sin(3 * (h @ hidden.weight.T + hidden.bias)) @ head.weight.T + head.bias

        for part, expected in zip(field.jet(x, order).parts, autograd_jet(equation, x, order).parts, strict=True):
            assert distance(part, expected) < 1e-13

    @pytest.mark.parametrize("waves", [False, True])
    def test_any_sums_of_second_derivatives(self, waves):
        """Those that are asked for, in their order."""
        encoding = Fourier(2, frequencies=5) if waves else None
        field = CoordinateMLP(2, 3, 16, 1, activation=Sine(omega0=3.0), encoding=encoding)
        x, a = torch.rand(5, 2), torch.tensor([[1.0, -4.0], [0.0, 2.0], [1.0, 1.0]])
        found = field.jet(x, 2, a)
        assert found.operators is a
        for part, expected in zip(found.parts, autograd_jet(field, x, 2, a).parts, strict=True):
            assert distance(part, expected) < 1e-12

    @pytest.mark.parametrize("order", [0, 1])
    def test_behind_waves_every_layer_is_a_hidden_one(self, order):
        """V sin(w1 (W e(x) + b)) + c, with w1 of the hidden layers, for the value and its gradient."""
        encoding, activation = Fourier(2, frequencies=5), Sine(omega0=100.0, hidden_omega0=7.0)
        field, x = CoordinateMLP(2, 1, 16, 0, activation=activation, encoding=encoding), torch.rand(5, 2)
        (layer,), head = field.layers, field.head

        def equation(x):
            phases = x @ encoding.matrix.T
            features = torch.cat([phases.sin(), phases.cos()], dim=1)
            return torch.sin(7 * (features @ layer.weight.T + layer.bias)) @ head.weight.T + head.bias

        for part, expected in zip(field.jet(x, order).parts, autograd_jet(equation, x, order).parts, strict=True):
            assert distance(part, expected) < 1e-13


class TestState:
    @pytest.mark.parametrize(("cls", "encoding"), pairs())
    def test_round_trip(self, cls, encoding):
        """Another field loaded with the state gives the same jet to the last bit, random features included."""

        def made() -> CoordinateMLP:
            features = build(described("encoding")[encoding], dims=2, channels=3, samples=64)
            return CoordinateMLP(2, 3, 16, 1, activation=cls(), encoding=features)

        first, second, x = made(), made(), torch.rand(5, 2)
        assert not torch.equal(first(x), second(x))
        second.load_state_dict(first.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(first.jet(x, 2).parts, second.jet(x, 2).parts, strict=True))

    def test_a_seed_is_a_start(self):
        """The same seed gives the same weights, another one others."""
        fields = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            fields.append(torch.cat([p.flatten() for p in Siren(2, 1, width=16).parameters()]))
        assert torch.equal(fields[0], fields[1])
        assert not torch.equal(fields[0], fields[2])


class TestSmoothness:
    @pytest.mark.parametrize(("cls", "encoding"), pairs() + [(ReLU, encoding) for encoding in described("encoding")])
    def test_is_truthful(self, cls, encoding):
        """It is 1 if and only if the field's Laplacian is zero everywhere."""
        features = build(described("encoding")[encoding], dims=2, channels=1, samples=64)
        field = CoordinateMLP(2, 1, 16, 2, activation=cls(), encoding=features)
        laplacian = field.jet(2 * torch.rand(200, 2) - 1, order=2).laplacian
        assert field.max_order == (2 if (laplacian != 0).any() else 1)

    def test_of_relu(self):
        """Zero Laplacian on coordinates, not behind an encoding."""
        assert CoordinateMLP(2, 1, 8, 1, activation=ReLU()).max_order == 1
        assert CoordinateMLP(2, 1, 8, 1, activation=ReLU(), encoding=Fourier(2)).max_order == 2


class TestRefusals:
    @pytest.mark.parametrize("width", [0, -1, 2.5, 16.0, "16", True, None])
    def test_width(self, width):
        with pytest.raises(UserError, match=r"field\.width must be a whole number of at least 1"):
            Siren(2, 1, width=width)

    @pytest.mark.parametrize("depth", [-2, 2.5, "3", True, None])
    def test_depth(self, depth):
        with pytest.raises(UserError, match=r"field\.depth must be a whole number of at least -1"):
            Siren(2, 1, depth=depth)

    @pytest.mark.parametrize("count", [0, -1, 2.0])
    def test_features(self, count):
        with pytest.raises(UserError, match=r"field\.in_features"):
            Siren(count, 1)
        with pytest.raises(UserError, match=r"field\.out_features"):
            Siren(2, count)

    def test_omega0_by_the_sampling_needs_the_samples(self):
        with pytest.raises(UserError, match=r"activation\.samples, which omega0=auto goes by, must be a whole number"):
            Sine("auto")

    @pytest.mark.parametrize("omega0", [0, -30.0, math.nan, math.inf])
    def test_omega0(self, omega0):
        with pytest.raises(UserError, match=r"activation\.omega0 must be a finite number above 0"):
            Siren(2, 1, omega0=omega0)
