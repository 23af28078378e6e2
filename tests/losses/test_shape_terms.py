"""Terms of a signed distance function: against closed forms, the exact distance of the ring, and nested autograd."""

import math

import pytest
import torch

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.losses.base import Loss
from sinefield.losses.curvature import DirectionalDivergence, Divergence
from sinefield.losses.surface import (
    CloudDistance,
    Eikonal,
    NormalGradients,
    Normals,
    OffSurface,
    OnSurface,
    Outside,
)
from sinefield.losses.value import Value
from sinefield.signals.analytic import Analytic
from sinefield.signals.shape import Shape
from sinefield.training.data import SignalData
from sinefield.training.microbatches import Microbatches

pytestmark = pytest.mark.usefixtures("float64")


LATE = [[0.5, 0.0], [1.0, 1.0]]  # a weight


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def ring() -> Shape:
    return Shape(size=12, points=5000)


def jet(value, gradient=None, second=None) -> Jet:
    """Of one channel at one point."""
    parts = [torch.tensor([[value]]), gradient, second]
    return Jet(*(part if part is None or isinstance(part, torch.Tensor) else torch.tensor(part) for part in parts))


@pytest.mark.parametrize(
    ("term", "field", "known", "expected"),
    [
        (OnSurface(), jet(-0.5), [], 0.5),
        (OnSurface(squared=True), jet(-0.5), [], 0.25),
        (Normals(), jet(0.0, [[[3.0, 4.0, 0.0]]]), [1.0, 0.0, 0.0], 1 - 0.6),
        (NormalGradients(), jet(0.0, [[[3.0, 4.0, 0.0]]]), [0.0, 0.0, 0.0], 5.0),
        (Eikonal(), jet(0.0, [[[3.0, 4.0, 0.0]]]), [], 4.0),
        (Eikonal(squared=True), jet(0.0, [[[0.0, 0.0, 0.0]]]), [], 1.0),
        (OffSurface(sharpness=10.0), jet(-0.2), [], math.exp(-2)),
        (Outside(), jet(-0.2), [0.3, 9.0], 0.5),
        (Outside(), jet(0.4), [0.3, 9.0], 0.0),
        (Outside(), jet(-0.2), [0.0, 9.0], 0.0),
        (CloudDistance(), jet(-0.2), [0.0, 0.3], 0.1),
        (CloudDistance(), jet(-0.2), [0.1, 0.3], 0.5),
        (CloudDistance(tolerance=0.15), jet(-0.2), [0.0, 0.3], 0.0),
        (Divergence(), jet(0.0, [[[0.0, 0.0, 0.0]]], [[[-7.0]]]), [], 7.0),
        (Divergence(), jet(0.0, [[[0.0, 0.0, 0.0]]], [[[700.0]]]), [], 50.0),
    ],
)
def test_a_term_is_what_its_equation_says(term, field, known, expected):
    found = term(field, Jet(torch.tensor([known])), torch.zeros(1, 3))
    assert found.shape == (1,)
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("term", "bound"),
    [
        (OnSurface(), 1e-8),
        (Normals(), 1e-3),  # an edge has two normals
        (NormalGradients(), 1e-2),
        (Eikonal(), 1e-8),
        (Eikonal(at="near"), 1e-8),
        (Outside(), 1e-3),
        (CloudDistance(tolerance=0.03), 1e-3),  # 5,000 points, 0.02 apart
    ],
)
def test_the_exact_distance_satisfies_it(term, bound, ring):
    """On the term's own points, and 1.2 times it less well, or as well where only its sign counts."""
    x = term.points(ring, seeded(), 0.0)
    exact, known = ring.jet(x, term.order), term.known(ring, x)
    found = term(exact, known, x).mean()
    assert found < bound
    assert term(exact.map(lambda part: -1.2 * part), known, x).mean() > 0.05 or isinstance(term, OnSurface)


def test_terms_are_for_shapes_and_say_what_they_lack(ring):
    with pytest.raises(UserError, match="signal=shape"):
        OnSurface().points(Analytic(size=8), seeded(), 0.0)
    with pytest.raises(UserError, match="must be one of surface, near, anywhere"):
        OnSurface(at="elsewhere").points(ring, seeded(), 0.0)
    blind = Shape(size=12, points=500, normals=False)
    x = Normals().points(blind, seeded(), 0.0)
    with pytest.raises(UserError, match="loss=digs"):
        Normals()(blind.jet(x, 1), Normals().known(blind, x), x)


def test_the_gradients_of_a_vanishing_gradient_are_finite():
    """Where |grad f| = 0 a length has no derivative."""
    for term, known in ((Eikonal(), torch.zeros(1, 0)), (NormalGradients(), torch.zeros(1, 3))):
        gradient = torch.zeros(1, 1, 3, requires_grad=True)
        term(Jet(torch.zeros(1, 1), gradient), Jet(known), torch.zeros(1, 3)).sum().backward()
        assert gradient.grad.isfinite().all()


@pytest.mark.parametrize("name", ["divergence", "directional"])
def test_second_derivatives_are_those_of_nested_autograd(name):
    """lap f, and g^T H g with H column by column, of a network of sines; and their derivatives by its weights."""
    torch.manual_seed(0)
    field, x = Siren(3, 1, 16, 1, omega0=3.0), 2 * torch.rand(20, 3) - 1
    term = Divergence(bounds=(0.0, 1e9)) if name == "divergence" else DirectionalDivergence()
    points = x.clone().requires_grad_(term.by_points)
    found = term(field.jet(points, term.order), Jet(x[:, :0]), points)

    def value(x: torch.Tensor) -> torch.Tensor:
        for layer in field.layers:
            x = torch.sin(3.0 * layer(x))
        return field.head(x)

    hessian = torch.stack([torch.autograd.functional.hessian(value, p, create_graph=True) for p in x])
    g = autograd_jet(value, x, 1).gradient.squeeze(1)
    straight = torch.einsum("ni,nij,nj->n", g, hessian, g) / (g.square().sum(1) + 1e-5)
    expected = (hessian.diagonal(dim1=1, dim2=2).sum(1) if name == "divergence" else straight).abs()
    assert torch.allclose(found, expected, rtol=1e-9)
    weights = list(field.parameters())
    slopes = [torch.autograd.grad(part.sum(), weights, materialize_grads=True) for part in (found, expected)]
    for one, other in zip(*slopes, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-9)


def test_terms_of_one_set_share_points_and_a_jet(ring):
    loss = Loss(
        {
            "on": OnSurface(),
            "n": Normals(),
            "e": Eikonal(at="anywhere"),
            "off": OffSurface(),
            "few": OffSurface(count=7),
        }
    )
    assert [list(group.terms) for group in loss.groups] == [["on", "n"], ["e", "off"], ["few"]]
    assert [group.order for group in loss.groups] == [1, 1, 0]
    batch = SignalData(ring, loss).batch(3)
    assert [len(samples.x) for samples in batch] == [1024, 1024, 7]
    assert [samples.known.value.shape[1] for samples in batch] == [3, 2, 2]


def test_what_has_no_weight_costs_nothing(ring, monkeypatch):
    """Behind two fifths of the run DiGS's term is reported as 0, and nothing asks for second derivatives."""
    loss = Loss({"e": Eikonal(at="anywhere"), "d": Divergence([[0.2, 1.0], [0.4, 0.0]]), "late": OnSurface(LATE)})
    field = Siren(3, 1, 16, 1)
    asked: list[int] = []
    jets = field.jet
    monkeypatch.setattr(field, "jet", lambda x, order, operators=None: asked.append(order) or jets(x, order, operators))
    ones = dict.fromkeys(loss.terms, torch.ones(()))
    batch = SignalData(ring, loss).batch(0)
    for progress, orders, zero in ((0.1, {2}, ["late"]), (0.45, {1}, ["d", "late"]), (0.9, {0, 1}, ["d"])):
        asked.clear()
        terms = Microbatches(field).gradient(loss, batch, loss.weights(ones, progress))
        assert set(asked) == orders
        assert list(terms) == ["e", "d", "late"]
        assert [name for name, value in terms.items() if value == 0] == zero


def test_where_no_term_has_a_weight_all_are_reported():
    """A run whose only term starts later still has a loss, 0."""
    loss = Loss({"v": Value(LATE)})
    assert loss.weights({"v": torch.ones(())}, 0.1) == {"v": 0.0}


@pytest.mark.parametrize("bounds", [(1.0,), (2.0, 1.0), (-1.0, 1.0)])
def test_bounds_that_are_none(bounds):
    with pytest.raises(UserError, match="bounds"):
        Divergence(bounds=bounds)
