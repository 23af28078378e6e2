"""Terms of waves, of initial values, of the border, and of the other equations, on solutions in closed form."""

import math

import pytest
import torch

from sinefield.core.jet import autograd_jet, coordinates, joined
from sinefield.encodings.modes import speed
from sinefield.encodings.waves import StandingWaves
from sinefield.errors import UserError
from sinefield.losses.arrivals import Arrivals
from sinefield.losses.edge import Edge
from sinefield.losses.heat import Heat as HeatTerm
from sinefield.losses.initial import Initial
from sinefield.losses.poisson import Poisson as PoissonTerm
from sinefield.losses.wave import Wave as WaveTerm
from sinefield.signals.analytic import Analytic
from sinefield.signals.eikonal import Eikonal
from sinefield.signals.heat import Heat
from sinefield.signals.media import medium
from sinefield.signals.poisson import Poisson
from sinefield.signals.wave import Wave

pytestmark = pytest.mark.usefixtures("float64")
TINY = 1e-10


def seeded():
    return torch.Generator().manual_seed(0)


def residual(term, signal, function, progress=1.0):
    """At the term's own points, of the jet that autograd finds of a function."""
    x = term.points(signal, seeded(), progress)
    jet = autograd_jet(function, x, term.order, term.operators)
    return term.residual(jet, term.known(signal, x), x)


class TestWave:
    @pytest.mark.parametrize("extent", [None, 2.0])
    def test_a_plane_wave_satisfies_it(self, extent):
        """sin(k . x - c |k| t) with c = 2 inside a square as large as the box; time runs as fast as its extent says."""
        signal = Wave(size=6, frames=4, duration=0.5, extent=extent, std=0.3, border="fixed")
        assert signal.extent[-1] == (0.25 if extent is None else 2)
        term = WaveTerm(space=2, count=50)

        def plane(x):
            t = (x[:, 2] + signal.extent[2]) * signal.pace
            return (3 * x[:, 0] - 4 * x[:, 1] - 5 * t).sin().unsqueeze(1)

        assert residual(term, signal, plane).abs().max() < TINY
        slower = residual(term, signal, lambda x: plane(torch.cat([x[:, :2], x[:, 2:] / 2], dim=1)))
        assert slower.abs().max() > 0.1

    def test_in_a_medium(self):
        """Where c = 2 the residual is std^2 (u_tt / 4 - lap u)."""
        signal = Wave(space=1, size=6, frames=4, std=0.3, medium="square", border="free")
        term = WaveTerm(space=1, count=80)
        x = term.points(signal, seeded(), 1.0)
        jet = autograd_jet(lambda x: x[:, :1] ** 2 + 3 * x[:, 1:] ** 2, x, 2, term.operators)
        found = term.residual(jet, term.known(signal, x), x)[:, 0]
        expected = 0.09 * torch.where(x[:, 0].abs() < 0.3, 6 / 4 - 2.0, 6 - 2.0)
        assert (found - expected).abs().max() < TINY

    def test_time_grows(self):
        """Its points' times reach as far as so much of the run is done."""
        signal, term = Wave(size=6, frames=4, duration=2.0, std=0.3), WaveTerm(space=2, count=4000, grows=0.5)
        for progress, latest in ((0.0, 0.02), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)):
            t = (term.points(signal, seeded(), progress)[:, 2] + 1) / 2
            assert t.min() >= 0
            assert t.max() == pytest.approx(latest, rel=0.01)

    @pytest.mark.parametrize("velocity", [None, [0.8, -0.3]])
    def test_initial_values(self, velocity):
        """Of a Gaussian that moves on as it is, in any direction, g(x - v t), the values and slopes at t = 0."""
        signal = Wave(size=6, frames=4, duration=0.5, extent=1.0, std=0.2, velocity=velocity)

        def moving(x):
            v = torch.tensor([0.0, 0.0] if velocity is None else velocity)
            t = (x[:, 2:] + 1) * signal.pace
            return (-(x[:, :2] - signal.centre - v * t).square().sum(1, keepdim=True) / 0.08).exp()

        for count in (None, 200):
            found = residual(Initial(count=count, velocity=True), signal, moving)
            assert found.shape[1] == 2
            assert found.abs().max() < TINY
        assert residual(Initial(), signal, moving).shape[1] == 1

    def test_border(self):
        """u = 0, u_n = 0, and a wave that leaves straight on."""
        fields = {
            "fixed": lambda x: ((1 - x[:, :1] ** 2) * (1 - x[:, 1:2] ** 2)) * x[:, 2:].exp(),
            "free": lambda x: (math.pi * x[:, :1]).cos() * (2 * math.pi * x[:, 1:2]).cos() * x[:, 2:].exp(),
            "absorbing": lambda x: (x[:, :2].abs().amax(1, keepdim=True) - (x[:, 2:] + 1) * 0.25).sin(),
        }
        for border, function in fields.items():
            signal = Wave(size=6, frames=4, duration=0.5, extent=1.0, std=0.3, border=border)
            assert residual(Edge(count=100), signal, function).abs().max() < TINY
            assert residual(Edge(count=100), signal, lambda x: x.sum(1, keepdim=True).sin()).abs().max() > 0.1


class TestOthers:
    def test_poisson(self):
        """Of the signal's own solution the residual is the spline's, second order in its spacing."""
        errors = []
        for size in (33, 65):
            signal = Poisson(size, [(1.0, (0.1, -0.2), 0.2), (-0.5, (-0.3, 0.1), 0.15)])
            x = signal.uniform(500, seeded()) * 0.8
            term = PoissonTerm()
            found = term.residual(signal.jet(x, 2), term.known(signal, x), x)
            errors.append((found.square().mean() / term.mean_square(signal)).sqrt().item())
        assert errors[1] < 0.02
        assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.4)

    @pytest.mark.parametrize("extent", [None, 2.0])
    def test_heat(self, extent):
        """A Gaussian that spreads satisfies it, whatever the unit of time."""
        signal = Heat(size=12, frames=6, extent=extent, diffusivity=0.05, std=0.2, centre=0.1)

        def spreading(x):
            variance = 0.04 + 0.1 * (x[:, 1:] + signal.extent[1]) * signal.pace
            return (0.04 / variance).sqrt() * (-((x[:, :1] - 0.1) ** 2) / (2 * variance)).exp()

        assert residual(HeatTerm(count=100), signal, spreading).abs().max() < TINY
        assert residual(Initial(velocity=True), signal, spreading).abs().max() < TINY

    def test_arrivals(self):
        """In a constant medium the mean slowness is 1 / c everywhere, at the source too."""
        signal, term = Eikonal(12, (0.2, -0.1), "uniform"), Arrivals(count=50)
        assert residual(term, signal, lambda x: x[:, :1] * 0 + 1).abs().max() < TINY
        assert residual(term, signal, lambda x: x[:, :1] * 0 + 0.5).mean().item() == pytest.approx(-0.5)
        at = term.known(signal, signal.place[None])
        assert at.gradient.isfinite().all()

    @pytest.mark.parametrize("term", [WaveTerm(2), Initial(), Edge(), PoissonTerm(), HeatTerm(), Arrivals()])
    def test_a_picture_is_no_problem(self, term):
        """In one line."""
        with pytest.raises(UserError, match="signal"):
            residual(term, Analytic(size=8), torch.sin)


class TestStandingWaves:
    @pytest.mark.parametrize(("border", "kind"), [("fixed", "fixed"), ("free", "free"), ("absorbing", "free")])
    def test_satisfy_equation_and_border(self, border, kind):
        """Exactly for a constant speed: u_tt = lap u inside, and on the border of the box in which they stand."""
        encode = StandingWaves(3, std=0.3, border=border, velocity=[1.0, 0.0])
        assert encode.reach == (1.5 if border == "absorbing" else 1)
        signal = Wave(size=6, frames=4, std=0.3, border=kind)
        mix = torch.randn(1, encode.features)
        assert residual(WaveTerm(2, count=50), signal, lambda x: _waves(encode, x) @ mix.T).abs().max() < 1e-8
        stretched = torch.tensor([encode.reach, encode.reach, 1.0])
        found = residual(Edge(count=50), signal, lambda x: _waves(encode, x * stretched) @ mix.T)
        assert found.abs().max() < 1e-8

    def test_those_of_two_media(self):
        """On [-1, 1], held at both ends, c = 2 where |x| < 0.3: w of even modes solves cot(.7 w) = tan(.15 w) / 2 ...

        u = cos(w x / 2) inside and A sin(w (1 - x)) outside, both u and u' continuous at 0.3.
        """
        encode = StandingWaves(2, std=0.03, tolerance=0.01, border="fixed", medium=medium("square"))
        w = encode.frequencies[:8:2]
        inside = 0.5 * (0.15 * w).sin() * (0.7 * w).sin()
        outside = (0.15 * w).cos() * (0.7 * w).cos()
        assert (inside - outside).abs().max() < 2e-3

    def test_are_orthogonal_with_weight(self):
        """int psi_i psi_j / c^2 is (2 reach)^d for i = j and 0 else, as of any modes; by midpoints of its own."""
        encode = StandingWaves(2, std=0.1, tolerance=0.1, border="free", medium=medium("square"))
        x = (torch.arange(4000) + 0.5)[:, None] / 2000 - 1
        psi = _waves(encode, torch.cat([x, torch.full_like(x, -0.5)], dim=1))  # at the start, where the cosines are 1
        gram = psi.T @ (psi / speed(medium("square"), x).unsqueeze(1) ** 2) / 2000
        assert (gram - 2 * torch.eye(len(gram))).abs().max() < 5e-3

    def test_points_at_several_times_are_summed_once(self):
        """The same numbers, value and derivatives, as for each of them alone."""
        encode = StandingWaves(2, std=0.2, tolerance=0.1, medium=medium("square"))
        x = torch.rand(4, 1).repeat_interleave(10, dim=0)
        x = torch.cat([x, torch.rand(40, 1)], dim=1)[torch.randperm(40)]
        together = encode(coordinates(x, 2))
        alone = joined([encode(coordinates(point, 2)) for point in x.split(1)])
        for part, other in zip(together.parts, alone.parts, strict=True):
            assert (part - other).abs().max() <= 1e-12 * other.abs().max()

    def test_count(self):
        """A R^2 / (4 pi) in the plane; too many are refused in one line."""
        encode = StandingWaves(3, std=0.05, tolerance=0.01)
        expected = 9 * (2 * math.log(100)) / 0.05**2 / (4 * math.pi)
        assert encode.features == pytest.approx(expected, rel=0.06)
        with pytest.raises(UserError, match="too many"):
            StandingWaves(3, std=0.005)
        with pytest.raises(UserError, match=r"encoding\.border"):
            StandingWaves(3, border="open")


def _waves(encode, x):
    return encode(coordinates(x, 0)).value
