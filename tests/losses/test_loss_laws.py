"""What holds for every term of a loss, found in the package and built with its own defaults; and for their sum."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from discover import concrete, described, needed, targets
from scipy import sparse
from scipy.sparse.linalg import spsolve

from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.losses.base import Constraint, Equation, Loss, Term
from sinefield.losses.constraints import Border, Mean, Pixel
from sinefield.losses.gradient import Gradient
from sinefield.losses.halfway import Halfway
from sinefield.losses.laplacian import Laplacian, harmonic
from sinefield.losses.value import Value
from sinefield.losses.weak import Circles, Differences, Squares
from sinefield.signals.analytic import Analytic
from sinefield.signals.base import Signal

pytestmark = pytest.mark.usefixtures("float64")

ROUNDING = 1e-12  # sums of some hundred float64 terms
TERMS = [cls for cls in concrete(Term) if not issubclass(cls, Equation)]  # those that compare with a signal
terms = pytest.mark.parametrize("cls", TERMS)
CHANNELS, DIMS = 3, 2


def random_jet(term: Term, order: int | None = None) -> Jet:
    """A jet as deep as the term asks, at twelve of its groups of points."""
    n = 12 * (term.group or 1)
    full = Jet(torch.randn(n, CHANNELS), torch.randn(n, CHANNELS, DIMS), torch.randn(n, CHANNELS, 1))
    return Jet(*full[: (term.order if order is None else order) + 1])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plus(jet: Jet, other: Jet, factor: float = 1.0) -> Jet:
    return jet.of([a + factor * b for a, b in zip(jet.parts, other.parts, strict=True)])


def residuals(term: Term, field: Jet, known: Jet) -> torch.Tensor:
    """(n,), at points that no term of the package looks at."""
    return term(field, known, torch.zeros(len(field.value), DIMS))


def total(term: Term, field: Jet, known: Jet) -> float:
    return residuals(term, field, known).mean().item()


class Grid(Signal):
    """1 + |x|^2 on a grid of any shape and dimension."""

    def __init__(self, *shape: int) -> None:
        super().__init__(shape, 1)

    def jet(self, x, order):
        value = 1 + x.square().sum(dim=1, keepdim=True)
        return Jet(*(value, 2 * x[:, None], torch.full_like(value[..., None], 2.0 * self.dims))[: order + 1])


def test_there_are_terms():
    """Discovery finds what the package ships, and conf/ has a file for each."""
    assert {Value, Gradient, Laplacian, Border, Mean, Pixel, Differences, Circles, Squares} <= set(TERMS)
    assert set(concrete(Term)) == targets("loss/term")


class TestEvery:
    @terms
    def test_vanishes_at_the_truth_alone(self, cls):
        """0 for equal jets, exactly; of two different ones every group's residual is positive and finite."""
        term = cls()
        truth = random_jet(term)
        assert (residuals(term, truth, truth) == 0).all()
        found = residuals(term, random_jet(term), truth)
        assert ((found > 0) & (found < math.inf)).all()

    @terms
    def test_answers_for_every_group(self, cls):
        """(n,) for n groups: that of each group is what the term gives of its points alone; one where group is None."""
        term = cls()
        field, truth = random_jet(term), random_jet(term)
        found, size = residuals(term, field, truth), term.group or len(field.value)
        assert found.shape == (len(field.value) // size,)
        for k, value in enumerate(found):
            own = [jet.map(lambda part, k=k: part[k * size : (k + 1) * size]) for jet in (field, truth)]
            assert residuals(term, *own).tolist() == pytest.approx([value.item()], rel=ROUNDING)

    @terms
    def test_of_a_stack_is_that_of_every_field(self, cls):
        """With K in front of all jets, (K, n)."""
        term = cls()
        pairs = [(random_jet(term), random_jet(term)) for _ in range(4)]
        together = [
            jets[0].of([torch.stack(parts) for parts in zip(*(jet.parts for jet in jets), strict=True)])
            for jets in zip(*pairs, strict=True)
        ]
        found = term(*together, torch.zeros(len(pairs[0][0].value), DIMS))
        assert torch.allclose(found, torch.stack([residuals(term, *pair) for pair in pairs]), rtol=ROUNDING)

    @terms
    def test_is_quadratic_in_the_error(self, cls):
        """Twice the error is four times the residual."""
        term = cls()
        truth, error = random_jet(term), random_jet(term)
        once, twice = (total(term, plus(truth, error, k), truth) for k in (1, 2))
        assert twice == pytest.approx(4 * once, rel=ROUNDING)

    @terms
    def test_is_relative(self, cls):
        """Field and signal scaled together, a picture of another contrast, leave the term as it is."""

        class Scaled(Grid):
            factor = 1.0

            def jet(self, x, order):
                return super().jet(x, order).map(lambda part: self.factor * part)

        term, signal = cls(), Scaled(9, 9)
        field, truth = random_jet(term), random_jet(term)
        before = total(term, field, truth) / term.mean_square(signal)
        signal.factor = 7.3
        scaled = [jet.map(lambda part: 7.3 * part) for jet in (field, truth)]
        assert (total(term, *scaled) / term.mean_square(signal)).item() == pytest.approx(before.item(), rel=1e-9)

    @terms
    def test_compares_channel_by_channel(self, cls):
        """Channels in another order, in both jets, change nothing; in one of them, much."""
        term, turn = cls(), [1, 2, 0]
        field, truth = random_jet(term), random_jet(term)
        turned = total(term, field.map(lambda part: part[:, turn]), truth.map(lambda part: part[:, turn]))
        assert turned == pytest.approx(total(term, field, truth), rel=ROUNDING)
        assert total(term, truth.map(lambda part: part[:, turn]), truth) > 1e-3 * turned

    @terms
    def test_errors_of_two_channels_do_not_cancel(self, cls):
        """+e in one channel and -e in another count twice what e in one counts."""
        term = cls()
        truth, error = random_jet(term), random_jet(term)
        seen = []
        for signs in ([1.0, 0.0, 0.0], [1.0, -1.0, 0.0]):
            sign = torch.tensor(signs)
            spread = error.map(lambda part, s=sign: part[:, :1] * s.reshape(1, CHANNELS, *[1] * (part.ndim - 2)))
            seen.append(total(term, plus(truth, spread), truth))
        assert seen[0] > 0
        assert seen[1] == pytest.approx(2 * seen[0], rel=ROUNDING)

    @terms
    def test_looks_no_deeper_than_it_asks(self, cls):
        """`order` is enough, and deeper jets change nothing."""
        term = cls()
        field, truth = random_jet(term, 2), random_jet(term, 2)
        assert term.order in (0, 1, 2)
        shallow = [Jet(*jet[: term.order + 1]) for jet in (field, truth)]
        assert total(term, *shallow) == total(term, field, truth)

    @terms
    @pytest.mark.parametrize("weight", [0, -1.0, math.nan, math.inf, "1", True])
    def test_no_weight(self, cls, weight):
        """A weight that is no finite number above 0 is refused."""
        with pytest.raises(UserError, match="weight"):
            cls(weight=weight)

    @terms
    def test_gradients_reach_the_field(self, cls):
        """It can be trained on: a step against the gradient lowers it."""
        term = cls()
        truth, field = random_jet(term), random_jet(term).map(lambda part: part.requires_grad_())
        before = residuals(term, field, truth).mean()
        slopes = torch.autograd.grad(before, field.parts, materialize_grads=True)
        stepped = plus(field, field.of(slopes), -1e-3)
        assert total(term, stepped, truth) < before.item()

    @terms
    @pytest.mark.parametrize("shape", [(9, 9), (7, 12)])
    def test_what_is_unseen_is_a_projection(self, cls, shape):
        """It has the error's shape, is all of itself, and leaves nothing else of the error."""
        term, error = cls(), torch.randn(*shape, CHANNELS)
        free = term.unseen(error)
        assert free.shape == error.shape
        assert torch.allclose(term.unseen(free), free, atol=1e-11)
        assert torch.allclose(term.unseen(error - free), torch.zeros_like(error), atol=1e-11)

    @terms
    @pytest.mark.parametrize("shape", [(9, 9), (5, 12), (40, 50)])
    def test_its_own_points_lie_in_the_box(self, cls, shape):
        """Where a term names points: whole groups, inside the picture, a function of the generator's seed alone."""
        term, signal = cls(), Grid(*shape)
        points = term.points(signal, seeded(), 0.0)
        if points is not None:
            assert len(points) > 0
            assert len(points) % (term.group or 1) == 0
            assert (points.abs() <= signal.extent + 1e-14).all()
            assert torch.equal(points, term.points(signal, seeded(), 0.0))

    @pytest.mark.parametrize("cls", [cls for cls in TERMS if cls is not Halfway])  # a guess, which no signal need meet
    @pytest.mark.parametrize("shape", [(9, 9), (5, 12)])
    def test_the_signal_satisfies_it(self, cls, shape):
        """At the term's own points the signal's jet gives 0 against what is known, and 1.1 times it does not."""
        term, signal = cls(), Grid(*shape)
        x = term.points(signal, seeded(), 0.0)
        x = signal.uniform(50, seeded()) if x is None else x
        jet, known = signal.jet(x, term.order), term.known(signal, x)
        assert term(jet, known, x).mean() < 1e-28
        assert term(jet.map(lambda part: 1.1 * part), known, x).mean() > 1e-12

    @pytest.mark.parametrize("cls", [Gradient, Laplacian])
    @pytest.mark.parametrize("constraint", [Border(), Mean(), Mean(count=7), Pixel()])
    @pytest.mark.parametrize("shape", [(9, 9), (7, 12)])
    def test_a_constraint_leaves_free_what_it_does_not_see(self, cls, constraint, shape):
        """No more and no less: of what derivatives do not see that part whose residual at its points is 0."""
        error = torch.randn(*shape, CHANNELS)
        alone, both = Loss({"a": cls()}), Loss({"b": constraint, "a": cls()})
        free, unconstrained = both.unseen(error), alone.unseen(error)
        points = constraint.points(Grid(*shape), seeded(), 0.0)
        at = Grid(*shape).pixels(points).round().long()  # (column, row), the nearest

        def seen(part: torch.Tensor) -> float:
            there = part[at[:, 1], at[:, 0]]
            return total(constraint, Jet(there), Jet(torch.zeros_like(there)))

        assert seen(unconstrained) > 1e-6
        assert seen(free) < 1e-24
        assert torch.allclose(alone.unseen(free), free, atol=1e-11)
        assert torch.allclose(both.unseen(free), free, atol=1e-11)
        assert torch.allclose(both.unseen(error - free), torch.zeros_like(error), atol=1e-11)
        pinned = unconstrained - free
        assert isinstance(constraint, Border) or torch.allclose(pinned, pinned[:1, :1].expand_as(pinned), atol=1e-11)

    @pytest.mark.parametrize(("cls", "weak"), [(Gradient, Differences), (Gradient, Circles), (Laplacian, Squares)])
    def test_a_weak_form_sees_no_more_than_the_derivatives(self, cls, weak):
        error = torch.randn(9, 9, CHANNELS)
        assert torch.allclose(Loss({"weak": weak(), "a": cls()}).unseen(error), cls().unseen(error), atol=1e-12)
        assert cls().unseen(error).any()


class TestSum:
    def test_terms_at_the_same_points_share_a_jet(self):
        """Those at the data's points stand together, as deep as the deepest; those with points of their own alone."""
        value, laplacian, border, weak = Value(), Laplacian(), Border(), Squares()
        loss = Loss({"v": value, "b": border, "l": laplacian, "w": weak, "off": None})
        assert [list(group.terms) for group in loss.groups] == [["v", "l"], ["b"], ["w"]]
        assert [group.order for group in loss.groups] == [2, 0, 0]
        assert [group.size for group in loss.groups] == [1, 1, 9]
        assert loss.order == 2
        x = torch.rand(5, 2)
        assert loss.groups[0].known(Grid(9, 9), x).order == 2

    def test_terms_of_other_operators_stand_apart(self):
        """Each gets the sums of second derivatives that it asks for."""

        class Wave(Laplacian):
            operators = torch.tensor([[1.0, -4.0]])

        loss = Loss({"l": Laplacian(), "w": Wave(), "v": Value()})
        assert [(list(group.terms), group.operators) for group in loss.groups] == [
            (["l", "v"], None),
            (["w"], Wave.operators),
        ]

    @pytest.mark.parametrize("size", [2, None])
    def test_terms_of_other_groups_of_points_stand_apart(self, size):
        """A batch is cut between the groups of the one, and not between those of the other."""

        class Together(Value):
            group = size

        loss = Loss({"a": Together(), "v": Value()})
        assert [(list(group.terms), group.size) for group in loss.groups] == [(["v"], 1), (["a"], size)]

    @pytest.mark.parametrize("name", described("loss"))
    def test_every_yaml_is_a_sum_of_terms(self, name, compose):
        from sinefield.runs.configuration import build

        loss = build(compose(f"loss={name}", *needed(Path("loss") / name)).loss)
        assert loss.terms
        assert {"value": 0, "gradient": 1, "laplacian": 2, "sobolev": 2, "h1": 1}.get(name, loss.order) == loss.order

    @pytest.mark.parametrize(
        ("overrides", "names"),
        [
            (["loss=laplacian", "~loss.terms.weak"], ["laplacian", "border"]),
            (["loss=laplacian", "loss.terms.weak=null"], ["laplacian", "border"]),
            (["loss=laplacian", "loss.terms.border.weight=0.1"], ["laplacian", "weak", "border"]),
            (["loss=value", "+loss/term@loss.terms.slope=gradient"], ["value", "between", "slope"]),
            (["loss=value", "~loss.terms.between"], ["value"]),
            (
                ["loss=sobolev", "+loss/term@loss.terms.weak=circles", "~loss.terms.value"],
                ["gradient", "laplacian", "weak"],
            ),
        ],
    )
    def test_terms_are_overrides(self, overrides, names, compose):
        from sinefield.runs.configuration import build

        loss = build(compose(*overrides).loss)
        assert sorted(loss.terms) == sorted(names)
        assert "weight=0.1" not in overrides[1] or loss.terms["border"].weight(0.0) == 0.1

    @pytest.mark.parametrize("given", [{}, {"a": None}])
    def test_of_nothing(self, given):
        with pytest.raises(UserError, match="every term is switched off"):
            Loss(given)

    @pytest.mark.parametrize("given", [{"a": "value"}, {"a": 3}, {"a": Loss({"v": Value()})}])
    def test_of_something_else(self, given):
        with pytest.raises(UserError, match=r"loss\.terms\.a must be a term, not"):
            Loss(given)

    @pytest.mark.parametrize("given", ["value", [Value()], None])
    def test_of_no_table(self, given):
        with pytest.raises(UserError, match=r"loss\.terms must be a table of terms by name"):
            Loss(given)

    def test_constraints_are_constraints(self):
        assert {cls for cls in TERMS if issubclass(cls, Constraint)} == {Border, Mean, Pixel}


def assert_samples(points: torch.Tensor, signal: Signal) -> None:
    """Every point is a sample of the grid, to rounding, and a different one."""
    distances = torch.cdist(points, signal.grid(), compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.min(dim=1)
    assert nearest.values.max() < 1e-14
    assert len(nearest.indices.unique()) == len(points)


class TestConstraints:
    @pytest.mark.parametrize("shape", [(9,), (4, 4), (5, 12), (12, 5), (4, 5, 6)])
    def test_border_covers_the_border(self, shape):
        """Every point lies on a side of the box, each of the 2 D sides gets its share, and on it all of its length."""
        signal, count = Grid(*shape), 2000 * len(shape)
        points = Border(count=count).points(signal, seeded(), 0.0)
        assert points.shape == (count, len(shape))
        unit = points / signal.extent
        assert (unit.abs().amax(dim=1) == 1).all()
        for axis in range(len(shape)):
            for side in (-1, 1):
                on = unit[unit[:, axis] == side]
                assert len(on) == pytest.approx(1000, abs=150)  # five standard deviations
                for other in set(range(len(shape))) - {axis}:  # uniform: mean 0, standard deviation 1/sqrt(3)
                    assert on[:, other].mean().abs() < 0.1
                    assert on[:, other].std().item() == pytest.approx(3**-0.5, rel=0.1)

    @pytest.mark.parametrize("shape", [(9, 9), (8, 8), (5, 12)])
    def test_pixel_is_the_sample_nearest_to_the_middle(self, shape):
        signal = Grid(*shape)
        points = Pixel().points(signal, seeded(), 0.0)
        assert_samples(points, signal)
        assert points.shape == (1, 2)
        assert points.norm().item() == pytest.approx(signal.grid().norm(dim=1).min().item(), abs=1e-14)

    @pytest.mark.parametrize("shape", [(9,), (9, 9), (5, 12), (53, 77), (64, 64), (100, 150), (4, 5, 6)])
    @pytest.mark.parametrize("count", [1, 7, 24, 1024])
    def test_mean_takes_at_most_count_samples(self, shape, count):
        """At regular distances through the whole grid: all of them where there are no more than `count`."""
        signal = Grid(*shape)
        points = Mean(count=count).points(signal, seeded(), 0.0)
        assert 0 < len(points) <= count
        assert len(points) == len(signal) or len(signal) > count
        if len(signal) < 1000:
            assert_samples(points, signal)

    @pytest.mark.parametrize("count", [1, 4, 16, 100])
    def test_mean_s_samples_lie_around_the_middle(self, count):
        """As far to one side as to the other."""
        points = Mean(count=count).points(Grid(65, 33), seeded(), 0.0)
        assert points.mean(dim=0).abs().max() < 1e-14

    def test_mean_sees_the_mean_alone(self):
        """An error that has no mean over its points is not seen; a constant one is, channel by channel."""
        truth = random_jet(Mean())
        error = torch.randn_like(truth.value)
        error -= error.mean(dim=0)
        assert total(Mean(), Jet(truth.value + error), truth) < 1e-28
        shift = torch.tensor([0.1, -0.1, 0.0])
        assert total(Mean(), Jet(truth.value + shift), truth) == pytest.approx(0.02)


class TestWeakForms:
    """They see what the derivatives see and nothing more, at distances."""

    @staticmethod
    def seen(term: Term, error: torch.Tensor) -> float:
        return total(term, Jet(error), Jet(torch.zeros_like(error)))

    @pytest.mark.parametrize("shape", [(33, 33), (17, 50)])
    def test_differences_of_a_ramp(self, shape):
        """A constant is not seen; an error a . x counts E|a . (y - x)|^2 / 2; pairs reach half the box."""
        loss, signal = Differences(count=500), Grid(*shape)
        points = loss.points(signal, seeded(), 0.0)
        assert points.shape == (1000, 2)
        assert self.seen(loss, torch.full((1000, 1), 3.0)) == 0
        apart = points[1::2] - points[::2]
        assert (apart.abs() <= signal.extent + 1e-14).all()
        a = torch.tensor([[2.0], [-1.0]])
        assert self.seen(loss, points @ a) == pytest.approx((apart @ a).square().mean().item() / 2, rel=1e-10)

    def test_differences_have_all_lengths_and_directions(self):
        """Log-uniform from a spacing, 1/32, to half the box, times the larger of two uniform numbers."""
        start, end = Differences(count=8000).points(Grid(65, 65), seeded(), 0.0).unflatten(0, (-1, 2)).unbind(1)
        step = end - start
        assert step.abs().amax(dim=1).log().mean() == pytest.approx(math.log(1 / 32) / 2 - 1 / 2, rel=0.03)
        for quadrant in ((step > 0).all(1), (step < 0).all(1), (step[:, 0] > 0) & (step[:, 1] < 0)):
            assert quadrant.double().mean() == pytest.approx(1 / 4, rel=0.1)

    @pytest.mark.parametrize("cls", [Circles, Squares])
    def test_half_of_the_means_lie_near_the_border(self, cls):
        """At a log-uniform distance from half a spacing, 1/64, to half the box; the others anywhere."""
        centres = cls(count=8000).points(Grid(65, 65), seeded(), 0.0)[::9]
        near = (1 - centres.abs()).amin(dim=1) < 1 / 8
        assert near[::2].double().mean() > 0.5
        assert near[1::2].double().mean() == pytest.approx(1 - (7 / 8) ** 2, rel=0.1)

    @pytest.mark.parametrize(("cls", "exact"), [(Circles, 8), (Squares, 4)])
    @pytest.mark.parametrize("shape", [(33, 33), (17, 50)])
    def test_means_do_not_see_harmonic_polynomials(self, cls, exact, shape):
        """Re and Im of (x + i y)^k, k below `exact`, are not seen; x^2, of Laplacian 2, counts E|r^2 / 2|^2."""
        loss, signal = cls(count=500), Grid(*shape)
        points = loss.points(signal, seeded(), 0.0)
        assert points.shape == (500 * 9, 2)
        assert (points.abs() <= signal.extent + 1e-14).all()
        z = torch.complex(*points.unbind(1))
        for k in range(exact):
            free = torch.stack([(z**k).real, (z**k).imag], dim=1)
            assert self.seen(loss, free) < 1e-28
        rings = points.unflatten(0, (-1, 9))
        square = (rings[:, 1:] - rings[:, :1]).square().sum(2).mean(1)
        expected = (square / 2).square().mean().item()
        assert self.seen(loss, points[:, :1].square()) == pytest.approx(expected, rel=1e-10)

    def test_a_circle_is_round(self):
        ring = Circles(count=100).around(torch.ones(2), seeded())
        assert (ring.norm(dim=2) - 1).abs().max() < 1e-14

    @pytest.mark.parametrize("degree", [4, 8, 12])
    def test_squares_take_the_harmonic_measure(self, degree):
        """Every harmonic polynomial has mean 0 over the sides, within 4 standard errors of 200,000 draws."""
        ring = Squares(count=200_000).around(torch.ones(2), seeded())
        assert torch.allclose(ring.abs().amax(dim=2), torch.ones(()))
        means = (torch.complex(*ring.unbind(2)) ** degree).real.mean(dim=1)
        assert abs(means.mean()) < 4 * means.std() / len(means) ** 0.5

    @pytest.mark.parametrize(
        ("cls", "knob"),
        [(Differences, "count"), (Circles, "count"), (Squares, "count"), (Mean, "count"), (Border, "count")],
    )
    @pytest.mark.parametrize("value", [0, -1, 2.5, True])
    def test_no_count(self, cls, knob, value):
        """A number of points that is no whole number above 0 is refused by name."""
        with pytest.raises(UserError, match=knob):
            cls(**{knob: value})


class TestClosedForms:
    """|f - s|^2 and its mean square, written out: summed over channels and axes."""

    @pytest.mark.parametrize(
        ("term", "part"), [(Value(), "value"), (Gradient(), "gradient"), (Laplacian(), "laplacian")]
    )
    def test_of_one_part(self, term, part):
        field, truth = random_jet(term, 2), random_jet(term, 2)
        error = (getattr(field, part) - getattr(truth, part)).numpy()
        expected = [np.sum(np.square(point)) for point in error]
        assert residuals(term, field, truth).tolist() == pytest.approx(expected, rel=ROUNDING)
        signal = Analytic(size=16)
        there = getattr(signal.samples(2), part).numpy()
        expected = np.mean([np.sum(np.square(point)) for point in there])
        assert term.mean_square(signal).item() == pytest.approx(expected, rel=ROUNDING)


class TestUnseen:
    """What a loss leaves free, on rectangles, in three channels with an error of their own."""

    @pytest.fixture(params=[(4, 4), (9, 9), (6, 17)])
    def plane(self, request):
        """(H, W, 1) x and y, in unit steps."""
        height, width = request.param
        y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
        return x[..., None], y[..., None]

    @pytest.fixture
    def bump(self, plane):
        """(H, W, 3) noise that vanishes on the border."""
        noise = torch.randn(*plane[0].shape[:2], 3)
        noise[[0, -1]] = 0
        noise[:, [0, -1]] = 0
        return noise

    def test_values_leave_nothing(self, plane):
        error = torch.randn(*plane[0].shape[:2], 3)
        assert torch.equal(Value().unseen(error), torch.zeros_like(error))

    def test_gradients_leave_exactly_a_constant_per_channel(self, plane):
        """A constant is free; what has no mean is seen whole; a ramp is seen but for its mean."""
        x, _ = plane
        constant = torch.tensor([0.3, -2.0, 0.0]).expand(*x.shape[:2], 3)
        assert torch.allclose(Gradient().unseen(constant), constant, atol=ROUNDING)
        noise = torch.randn_like(constant)
        noise -= noise.mean(dim=(0, 1))
        assert Gradient().unseen(noise).abs().max() < ROUNDING
        assert torch.allclose(Gradient().unseen(x), torch.full_like(x, x.mean()), atol=ROUNDING)

    def test_laplacians_leave_exactly_the_harmonic_functions(self, plane, bump):
        """1, x, y, x y and x^2 - y^2 are free; what vanishes on the border is seen whole."""
        x, y = plane
        free = torch.cat([torch.full_like(x, -2.0), 3 * x - y, x * y + x * x - y * y], dim=-1)
        size = free.abs().max()
        assert torch.allclose(Laplacian().unseen(free), free, atol=ROUNDING * size)
        assert torch.equal(Laplacian().unseen(bump), torch.zeros_like(bump))
        assert torch.allclose(Laplacian().unseen(free + bump), free, atol=ROUNDING * size)

    def test_x_squared_is_not_harmonic(self, plane):
        """What is unseen of it is larger inside: the mean value property, strictly."""
        x, _ = plane
        free = Laplacian().unseen(x * x)
        assert (free[1:-1, 1:-1] > (x * x)[1:-1, 1:-1]).all()

    def test_harmonic_solves_the_dirichlet_problem(self, plane):
        """The 5-point equations, solved by a sparse direct method instead: 1e-12 of the border's largest value."""
        error = torch.randn(*plane[0].shape[:2], 2)
        expected = dirichlet(error.numpy())
        assert np.abs(harmonic(error).numpy() - expected).max() < 1e-12 * np.abs(expected).max()

    def test_harmonic_leaves_its_argument_alone_and_keeps_its_type(self):
        """Computed in double precision, given back in the error's own; the error is not written to."""
        error = torch.randn(5, 6, 2, dtype=torch.float32)
        kept = error.clone()
        assert harmonic(error).dtype == torch.float32
        harmonic(error.double())
        assert torch.equal(error, kept)
        double = torch.randn(5, 6, 2)
        kept = double.clone()
        harmonic(double)
        assert torch.equal(double, kept)

    def test_a_sum_leaves_what_every_term_leaves(self, plane, bump):
        """With a value term nothing; of gradient and Laplacian, in either order, the mean error of each channel."""
        x, y = plane
        error = bump + torch.cat([x * y, x, y], dim=-1)
        value = Loss({"v": Value(), "g": Gradient(), "l": Laplacian()})
        assert torch.equal(value.unseen(error), torch.zeros_like(error))
        mean = error.mean(dim=(0, 1)).expand_as(error)
        for pair in ({"g": Gradient(), "l": Laplacian()}, {"l": Laplacian(), "g": Gradient()}):
            assert torch.allclose(Loss(pair).unseen(error), mean, atol=1e-11)
        assert Loss({"l": Laplacian(), "m": Mean(), "g": Gradient()}).unseen(error).abs().max() < 1e-11


def dirichlet(error: np.ndarray) -> np.ndarray:
    """The discrete harmonic function with the border values of (H, W, C), one unknown per sample."""
    height, width, channels = error.shape
    number = np.arange(height * width).reshape(height, width)
    matrix = sparse.eye(height * width).tolil()
    right = error.reshape(-1, channels).copy()
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            row = number[i, j]
            matrix[row, row] = -4
            for neighbour in (number[i - 1, j], number[i + 1, j], number[i, j - 1], number[i, j + 1]):
                matrix[row, neighbour] = 1
            right[row] = 0
    return spsolve(matrix.tocsc(), right).reshape(error.shape)
