"""What holds for every activation: derivatives in closed form, the field's jet, the start of the training."""

import inspect
import math
import re
from functools import partial
from itertools import pairwise

import pytest
import torch
from discover import build, concrete, described, distance
from scipy import stats

from sinefield.activations.base import Activation
from sinefield.activations.sine import Sine
from sinefield.activations.siren2 import Siren2, spectral_centroid
from sinefield.activations.staf import Staf
from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP

pytestmark = pytest.mark.usefixtures("float64")

ACTIVATIONS = concrete(Activation)
SINES = [cls for cls in ACTIVATIONS if issubclass(cls, Sine)]
TOLERANCE = 1e-9  # norm-wise relative; float64 leaves 1e-12 after phases of some hundred radians
# (dims, channels, depth) with every pair of dims, of channels and of depth in some of them
SHAPES = [(1, 1, 0), (2, 3, 0), (3, 1, 0), (1, 3, 1), (2, 1, 1), (3, 3, 1), (1, 1, 3), (2, 3, 3), (3, 1, 3)]
ENCODINGS = list(described("encoding"))
# Every activation behind every encoding, the shapes in turns; and sines, which have their own kernels, in all shapes.
FIELDS = [
    (cls, encoding, SHAPES[(2 * i + j) % len(SHAPES)])
    for i, cls in enumerate(ACTIVATIONS)
    for j, encoding in enumerate(ENCODINGS)
]
FIELDS += [(Sine, encoding, shape) for encoding in ("none", "radial") for shape in SHAPES]
activations = pytest.mark.parametrize("cls", ACTIVATIONS)
sines = pytest.mark.parametrize("cls", SINES)


def float_knobs(cls: type) -> list[str]:
    """The constructor's arguments that are floats."""
    return [p.name for p in inspect.signature(cls).parameters.values() if "float" in str(p.annotation)]


def test_there_are_activations():
    """Discovery finds what the package ships: a law over nothing would pass."""
    assert {"Sine", "ReLU"} <= {cls.__name__ for cls in ACTIVATIONS}


class TestDerivatives:
    @activations
    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("reach", [0.01, 0.1, 1.0, 10.0])  # of z: sharp bumps live in the first two
    def test_closed_forms_are_the_derivatives(self, cls, first, reach):
        """s' and s'' equal the derivatives that autograd takes of s."""
        activation, z = cls(), reach * torch.randn(200)  # never 0, where some have a kink
        expected = autograd_jet(lambda z: activation(z, order=0, first=first)[0], z[:, None], order=2)
        value, slope, curvature = activation(z, order=2, first=first)
        assert distance(value, expected.value[:, 0]) <= 1e-15
        assert distance(slope, expected.gradient[:, 0, 0]) <= TOLERANCE
        assert distance(curvature, expected.laplacian[:, 0]) <= TOLERANCE

    @activations
    @pytest.mark.parametrize("first", [True, False])
    def test_order_gives_exactly_the_derivatives_asked_for(self, cls, first):
        """Order k gives k + 1 tensors of z's shape, the same ones whatever else is asked for."""
        activation, z = cls(), torch.randn(5, 3)
        full = activation(z, order=2, first=first)
        for order in (0, 1, 2):
            found = activation(z, order=order, first=first)
            assert len(found) == order + 1
            assert all(part.shape == z.shape for part in found)
            assert all(torch.equal(part, other) for part, other in zip(found, full, strict=False))

    @activations
    def test_max_order_is_truthful(self, cls):
        """s'' vanishes at every z if and only if max_order is 1."""
        curvature = cls()(torch.randn(1000), order=2)[2]
        assert cls.max_order in (1, 2)
        assert bool((curvature == 0).all()) == (cls.max_order == 1)

    @activations
    def test_far_out_the_derivatives_stay_finite(self, cls):
        """No overflow and no 0 times infinity, in single precision too."""
        z = torch.tensor([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype=torch.float32)
        for part in cls()(z, order=2):
            assert part.dtype == z.dtype
            assert part.isfinite().all()


class TestFieldJet:
    """The jet of a whole network against nested autograd, each part within TOLERANCE of it."""

    @pytest.mark.parametrize(("cls", "encoding", "shape"), dict.fromkeys(FIELDS), ids=str)
    def test_jet_and_its_parameter_gradients(self, cls, encoding, shape):
        """field.jet is what autograd finds of field.forward, and so is its derivative by every parameter."""
        dims, channels, depth = shape
        encoding = build(described("encoding")[encoding], dims=dims, channels=channels, samples=16)
        field = CoordinateMLP(dims, channels, 12, depth, activation=cls(), encoding=encoding)
        x = 2 * torch.rand(9, dims) - 1
        full = autograd_jet(field, x, order=2)
        jets = [(field.jet(x, order), Jet(*full[: order + 1])) for order in (0, 1, 2)]
        jets.append((field.reverse_jet(x), Jet(*full[:2])))  # which jet(x, 1) takes where it is the cheaper way
        for found, expected in jets:
            for part, other in zip(found, expected, strict=True):
                assert distance(part, other) <= TOLERANCE

            # a random scalar in which all parts weigh the same
            weights = expected.map(lambda part: torch.randn_like(part) / (1 + part.detach().norm()))
            given, wanted = (
                torch.autograd.grad(
                    sum((w * part).sum() for w, part in zip(weights, jet, strict=True) if w is not None),
                    list(field.parameters()),
                    materialize_grads=True,
                    retain_graph=True,
                )
                for jet in (found, expected)
            )
            assert all(gradient.abs().sum() > 0 for gradient in wanted)
            for gradient, other in zip(given, wanted, strict=True):
                assert distance(gradient, other) <= TOLERANCE


class TestStart:
    """The initialisation."""

    @activations
    @pytest.mark.parametrize("width", [64, 256])
    def test_neither_vanishes_nor_explodes(self, cls, width):
        """Behind each of 1 to 7 layers the outputs' rms lies in [0.1, 3], and 0.02 or more of it varies with x.

        Found: rms from 0.17 (Gauss, first layer) to 1.9 (Softplus, last), variation from 0.04 (Tanh, last).
        """
        for _, h in layers_of(cls, width, depth=6, draws=4):
            assert h.isfinite().all()
            assert 0.1 < h.square().mean().sqrt() < 3
            assert h.std(dim=1).square().mean().sqrt() > 0.02

    @sines
    @pytest.mark.parametrize("n", [2, 64, 256])
    def test_weights_are_uniform_within_the_papers_bounds(self, cls, n):
        """W ~ scale U(-1/n, 1/n) first, scale U(-1, 1) sqrt(6/n)/w0 in a hidden layer; the head without scale."""
        activation, layer = cls(omega0=7.0, hidden_omega0=20.0, scale=1.7), torch.nn.Linear(n, 2048)
        hidden = math.sqrt(6 / n) / 20
        for start, bound in (
            (partial(activation.initialize, first=True), 1.7 / n),
            (partial(activation.initialize, first=False), 1.7 * hidden),
            (activation.initialize_head, hidden),
        ):
            start(layer)
            weights = layer.weight.detach().flatten()
            assert 0.99 * bound < weights.abs().max() <= bound  # 4096 draws at least
            assert stats.kstest(weights, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3

    @sines
    @pytest.mark.parametrize("encoding", described("encoding"))
    def test_a_field_starts_each_layer_as_the_activation_says(self, cls, encoding):
        """A first layer has its own bound; hidden layers, such as the one behind an encoding's waves, have theirs."""
        encoding = build(described("encoding")[encoding], dims=2, channels=1, samples=64)
        field = CoordinateMLP(2, 3, 512, 2, activation=cls(omega0=7.0, hidden_omega0=20.0), encoding=encoding)
        hidden, n = math.sqrt(6 / 512) / 20, encoding.features
        bounds = [math.sqrt(6 / n) / 20 if encoding.has_second_derivative else 1 / n, hidden, hidden, hidden]
        for layer, bound in zip([*field.layers, field.head], bounds, strict=True):
            assert 0.98 * bound < layer.weight.abs().max() <= bound

    @sines
    @pytest.mark.parametrize("width", [64, 256, 1024])
    def test_outputs_are_arcsine_distributed(self, cls, width):
        """Behind layers 1 to 6 the outputs are close to arcsine on [-1, 1]: variance 1/2, Kolmogorov distance < 0.05.

        Found: 0.45 to 0.52, and 0.001 to 0.035. Only the first layer's are arcsine proper, over many periods.
        """
        for i, (_, h) in enumerate(layers_of(cls, width, depth=5)):
            assert h.mean().abs() < 0.05
            assert h.var().item() == pytest.approx(0.5, abs=0.02 if i == 0 else 0.06)
            assert kolmogorov(h, stats.arcsine(-1, 2)) < (0.02 if i == 0 else 0.05)

    @sines
    @pytest.mark.parametrize("width", [64, 256, 1024])
    def test_pre_activations_of_the_weights_are_normal(self, cls, width):
        """w0 W h ~ N(0, 2 E h^2), which is N(0, 1) as far as the outputs h are arcsine distributed.

        Found: variance within 4.2 %, excess kurtosis within 0.08, Kolmogorov distance up to 0.017; std 0.95 to 1.02.
        """
        layers = layers_of(cls, width, depth=5)
        for (_, h), (wh, _) in pairwise(layers):
            z = 30 * wh
            assert z.mean().abs() < 0.05
            assert z.std().item() == pytest.approx(1, abs=0.07)
            assert z.var().item() == pytest.approx(2 * h.square().mean().item(), rel=0.06)
            assert abs(stats.kurtosis(z.flatten())) < 0.15
            assert kolmogorov(z, stats.norm(0, z.std())) < 0.03

    @sines
    @pytest.mark.parametrize("width", [64, 256, 1024])
    def test_biases_widen_the_pre_activations(self, cls, width):
        """w0 (W h + b) has variance 2 E h^2 + w0^2 / (3 n): std 2.4, 1.5, 1.1 at n = 64, 256, 1024 and w0 = 30."""
        layers = layers_of(cls, width, depth=5, biased=True)
        for (_, h), (z, _) in pairwise(layers):
            expected = 2 * h.square().mean().item() + 30**2 / (3 * width)
            assert (30 * z).var().item() == pytest.approx(expected, rel=0.06)

    @pytest.mark.parametrize("width", [64, 256, 1024])
    def test_without_biases_a_siren_follows_its_recursion(self, width):
        """With b = 0 behind the first layer, Var w0 z = v gives Var h = (1 - e^(-2v))/2 and the next v = 1 - e^(-2v).

        From v = 1 in the second layer down to the fixed point 0.797: std 1, 0.93, ... 0.89.
        """
        layers, v = layers_of(Sine, width, depth=5, keep_biases=False), 1.0
        for z, h in layers[1:]:
            assert (30 * z).var().item() == pytest.approx(v, rel=0.04)
            v = 1 - math.exp(-2 * v)
            assert h.var().item() == pytest.approx(v / 2, rel=0.04)


def layers_of(cls, width, depth, draws=None, biased=False, keep_biases=True):
    """Of each layer, over several fields: (W h, or W h + b where `biased`; its outputs), (draws, 32 points, width)."""
    found = []
    for _ in range(draws or 2048 // width):
        field = CoordinateMLP(2, 1, width, depth, activation=cls())
        h, states = 2 * torch.rand(32, 2) - 1, []
        with torch.no_grad():
            for i, layer in enumerate(field.layers):
                bias = layer.bias if keep_biases or i == 0 else 0
                wh = h @ layer.weight.T
                h = field.activation(wh + bias, order=0, first=i == 0)[0]
                states.append((wh + bias if biased else wh, h))
        found.append(states)
    return [tuple(torch.stack(part) for part in zip(*layer, strict=True)) for layer in zip(*found, strict=True)]


def kolmogorov(values: torch.Tensor, distribution) -> float:
    """The largest distance of the distribution functions, over every seventh value."""
    return stats.kstest(values.flatten()[::7], distribution.cdf).statistic


class TestKnobs:
    @pytest.mark.parametrize(("cls", "knob"), [(cls, knob) for cls in ACTIVATIONS for knob in float_knobs(cls)])
    def test_what_is_no_number_is_refused_by_name(self, cls, knob):
        """NaN, infinity, text and truth values raise a UserError that names the knob."""
        for value in (math.nan, math.inf, -math.inf, "30", True):
            with pytest.raises(UserError, match=rf"activation\.{knob} "):
                cls(**{knob: value})

    @pytest.mark.parametrize(("cls", "knob"), [(cls, knob) for cls in ACTIVATIONS for knob in float_knobs(cls)])
    def test_zero_and_less_are_refused_by_name(self, cls, knob):
        """So are 0 and -1, unless the knob's own line under Args speaks of zero or of negative values."""
        line = re.search(rf"^ +{knob}:.*(\n {{8,}}.*)*", cls.__doc__, re.MULTILINE)
        assert line, f"{cls.__name__} documents {knob} under Args"
        if re.search("zero|negative", line[0]):
            return
        for value in (0, 0.0, -1.0):
            with pytest.raises(UserError, match=rf"activation\.{knob} "):
                cls(**{knob: value})


class TestSiren2:
    @pytest.mark.parametrize("psi", [0.1, 0.4])
    def test_the_first_two_layers_get_the_papers_noise(self, psi):
        """Variance of W: uniform's plus (s / w0)^2 with s_0 = 50 (1 - exp(-5 psi)), s_1 = 0.4 psi."""
        field = CoordinateMLP(2, 1, 600, 2, activation=Siren2(omega0=30.0, centroid=psi))
        noise = [50 * (1 - math.exp(-5 * psi)) / 30, 0.4 * psi / 30, 0.0]
        uniform = [(1 / 2) ** 2 / 3, 6 / 600 / 30**2 / 3, 6 / 600 / 30**2 / 3]
        for layer, s, u in zip(field.layers, noise, uniform, strict=True):
            assert layer.weight.var().item() == pytest.approx(s**2 + u, rel=0.1)

    def test_the_centroid_is_that_of_white_noise_and_of_a_wave(self):
        """White noise is spread evenly up to the highest frequency, 1/2 on average; of C channels it is over C^1.5."""
        noise = torch.randn(64, 256, 1)
        assert spectral_centroid(noise) == pytest.approx(0.5, abs=0.02)
        assert spectral_centroid(noise.expand(-1, -1, 3)) == pytest.approx(0.5 / 3**1.5, abs=0.02)
        assert spectral_centroid(torch.zeros(4, 8, 1)) == 0.01


class TestStaf:
    def test_it_starts_as_the_paper_says(self):
        """w ~ U(0, w0), p ~ U(-pi, pi), c^2 of mean 1 / (2 tau), both signs."""
        staf = Staf(omega0=20.0, terms=5000)
        assert stats.kstest(staf.frequencies.detach(), stats.uniform(0, 20).cdf).pvalue > 1e-3
        assert stats.kstest(staf.phases.detach(), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3
        assert staf.amplitudes.square().mean().item() == pytest.approx(1 / 10000, rel=0.1)
        assert abs(staf.amplitudes.sign().mean().item()) < 0.1
