"""The Helmholtz residual against the Hankel function and nested autograd; the weak norm against its definition."""

from __future__ import annotations

import math

import pytest
import torch
from discover import distance
from scipy.special import hankel2

from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.losses.base import Equation, Loss
from sinefield.losses.dual import Dual
from sinefield.losses.helmholtz import Absolute, Helmholtz
from sinefield.losses.value import Value
from sinefield.optimizers.head import Head
from sinefield.signals.analytic import Analytic
from sinefield.signals.helmholtz import Helmholtz as Waves

pytestmark = pytest.mark.usefixtures("float64")

K, SIZE = 20.0, 21  # of the finite differences, which no test here looks at


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def outgoing(x: torch.Tensor) -> Jet:
    """i/4 H0(kr) in two channels, with its pure second derivatives: H0' = -H1, H1' = H0 - H1 / z."""
    r = x.norm(dim=1)
    zero, one = (torch.from_numpy(hankel2(n, (K * r).numpy())) for n in (0, 1))
    slope, curvature = -K * one, -(K**2) * (zero - one / (K * r))
    unit = x / r[:, None]
    second = curvature[:, None] * unit**2 + (slope / r)[:, None] * (1 - unit**2)
    parts = [zero, slope[:, None] * unit, second]
    found = [torch.view_as_real(0.25j * part).movedim(-1, 1) for part in parts]
    return Jet(*found, torch.eye(2))


def test_the_outgoing_wave_has_no_residual_away_from_the_source():
    """In the physical part of a uniform medium, to rounding; and a wave that comes in at another speed has one."""
    signal = Waves(size=SIZE, incident=False)
    x = torch.rand(200, 2, generator=seeded()) - 0.5
    x = x[x.norm(dim=1) > 0.15]  # 15 widths of the source
    term = Helmholtz()
    jet = outgoing(x)
    found = term.residual(jet, term.known(signal, x), x)
    assert found.abs().max() < 1e-12 * jet.value.abs().max() + 1e-20
    other = Waves(k=21.0, size=SIZE, incident=False)
    assert term.residual(jet, term.known(other, x), x).norm(dim=1).median() > 0.05 * jet.value.norm(dim=1).median()


def smooth(x: torch.Tensor) -> torch.Tensor:
    """Complex, (N,)."""
    return torch.exp(1j * (3 * x[:, 0] - 2 * x[:, 1])) * (1 + x[:, 0] * x[:, 1] ** 2)


def along(u: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    """du/dx_axis of a complex (N,)."""
    parts = [torch.autograd.grad(part.sum(), x, create_graph=True)[0][:, axis] for part in (u.real, u.imag)]
    return torch.complex(*parts)


@pytest.mark.parametrize("medium", ["uniform", "square"])
def test_the_residual_is_the_divergence_form_by_nested_autograd(medium):
    """d/dx (e_y / e_x u_x) + d/dy (e_x / e_y u_y) + e_x e_y k^2 m u - s, in the layers and their corners too."""
    signal, term = Waves(medium, size=SIZE, incident=False, variance=0.01), Helmholtz()
    x = (2 * torch.rand(100, 2, generator=seeded()) - 1).requires_grad_()
    ex, ey = (1 - 5j * ((x[:, d].abs() - 0.5).clamp(min=0) / 0.5) ** 2 for d in (0, 1))
    u = smooth(x)
    first = [along(u, x, d) for d in (0, 1)]
    m = torch.where((x.abs() < 0.3).all(1) & (medium == "square"), 0.25, 1.0)
    expected = along(ey / ex * first[0], x, 0) + along(ex / ey * first[1], x, 1) + ex * ey * K**2 * m * u
    expected = expected - signal.sources_at(x) / signal.unit
    second = torch.stack([along(first[d], x, d) for d in (0, 1)], dim=-1)
    parts = [u, torch.stack(first, dim=-1), second]
    jet = Jet(*(torch.view_as_real(part.detach()).movedim(-1, 1) for part in parts), torch.eye(2))
    found = term.residual(jet, term.known(signal, x.detach()), x) * K**2
    assert distance(found, torch.view_as_real(expected.detach())) < 1e-12


def test_taking_off_the_known_field_leaves_the_equation_of_the_rest():
    """r(f; rest) = r(f + g; whole) for any field f, g's derivatives by differences of its values."""
    whole, rest = (Waves("square", size=SIZE, variance=4e-3, incident=incident) for incident in (False, True))
    term, (g,) = Helmholtz(), rest.known
    x = 2 * torch.rand(60, 2, generator=seeded()) - 1
    h = 1e-4

    def values(shift: torch.Tensor) -> torch.Tensor:
        return g(x + shift, 0).value[:, 0]

    steps = h * torch.eye(2)
    first = torch.stack([(values(s) - values(-s)) / (2 * h) for s in steps], dim=-1)
    second = torch.stack([(values(s) - 2 * values(0 * s) + values(-s)) / h**2 for s in steps], dim=-1)
    known = [torch.view_as_real(part).movedim(-1, 1) for part in (values(0 * steps[0]), first, second)]
    field = Siren(2, 2, 16, 1).jet(x, 2, torch.eye(2))
    both = field.of([a + b for a, b in zip(field.parts, known, strict=True)])
    found = term.residual(field, term.known(rest, x), x)
    assert distance(found, term.residual(both, term.known(whole, x), x)) < 1e-4


class Plain(Equation):
    """u - x y + 2 du/dx, real."""

    order, affine = 1, True

    def residual(self, field: Jet, known: Jet, x: torch.Tensor) -> torch.Tensor:
        return field.value - x.prod(dim=1, keepdim=True) + 2 * field.gradient[..., 0]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_weak_norm_of_a_sine_is_its_weight(exponent):
    """sin(w_i (x + 1)) sin(w_j (y + 1)) alone: its mean square times (1 + w^2 / k^2)^-2s; at s = 0 that of anything."""
    signal, term = Analytic(8), Dual(Plain(), k=7.0, nodes=19, exponent=exponent)
    x = term.points(signal, seeded(), 0.0)
    assert x.shape == (361, 2)
    assert (x[1] - x[0]).tolist() == pytest.approx([0.1, 0.0])
    w = math.pi / 2 * torch.tensor([3.0, 5.0])
    sines = (w * (x + 1)).sin().prod(dim=1, keepdim=True)
    found = term.transform(sines, x).square().sum()
    assert found.item() == pytest.approx(
        (sines.square().mean() * (1 + w.square().sum() / 49) ** (-2 * exponent)).item()
    )
    other = torch.randn(361, 4, generator=seeded())
    ratio = term.transform(other, x).square().sum() / other.square().sum(1).mean()
    assert ratio.item() == pytest.approx(1.0) if exponent == 0 else ratio < 0.9


def test_few_modes_are_the_lowest():
    signal = Analytic(8)
    few, all_of_them = (Dual(Plain(), k=7.0, nodes=19, modes=modes) for modes in (4, None))
    x = few.points(signal, seeded(), 0.0)
    r = torch.randn(361, 2, generator=seeded())
    expected = all_of_them.transform(r, x).reshape(19, 19, 2)[:4, :4].flatten()
    assert distance(few.transform(r, x).flatten(), expected) < 1e-14


def test_it_trains_and_is_solved_alike():
    """The gradient of the weak loss vanishes at the head that is solved for, and nowhere near it."""
    signal, term = Waves(size=SIZE, k=6.0, variance=0.01), Dual(Helmholtz(), k=6.0, nodes=19, modes=12)
    loss, field = Loss({"equation": term}), Siren(2, 2, 24, 1)
    x = term.points(signal, seeded(), 0.0)
    known = term.known(signal, x)

    def value() -> torch.Tensor:
        return term(field.jet(x, 2, term.operators), known, x).mean()

    from sinefield.training.data import Samples

    before = torch.autograd.grad(value(), field.head.weight)[0].norm()
    start = value().item()
    Head(field.parameters()).solve(field, loss, [Samples(x, known)], {"equation": torch.tensor(1.0)})
    after = torch.autograd.grad(value(), field.head.weight)[0].norm()
    assert value().item() < start
    assert after < 1e-8 * before


def test_the_papers_penalty_is_absolute_and_stronger_at_the_source():
    signal, term = Waves(size=SIZE, incident=False), Absolute(count=50, near=10)
    x = torch.tensor([[0.0, 0.0], [0.4, 0.4]])
    jet = Siren(2, 2, 8, 1).jet(x, 2, torch.eye(2))
    plain = Helmholtz().residual(jet, Helmholtz().known(signal, x), x).abs().sum(1)
    assert torch.allclose(term(jet, term.known(signal, x), x), plain * torch.tensor([52.9, 1.0]))
    points = term.points(signal, seeded(), 0.0)
    assert points.shape == (60, 2)
    assert points[50:].norm(dim=1).max() < 0.1
    with pytest.raises(UserError, match=r"loss\.terms\.equation \(Absolute\) is not"):
        field = Siren(2, 2, 8, 1)
        Head(field.parameters()).check(field, Loss({"equation": term}), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dual(Value(), k=1.0), "must be an equation"),
        (lambda: Dual(Plain(), k=-1.0), "k of a term"),
        (lambda: Dual(Plain(), k=1.0, nodes=9, modes=10), "modes of a term must be at most 9"),
        (lambda: Helmholtz().known(Analytic(8), torch.zeros(1, 2)), "needs signal=helmholtz"),
    ],
)
def test_what_does_not_fit_is_one_line(make, message):
    with pytest.raises(UserError, match=message):
        make()
