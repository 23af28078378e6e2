"""What holds for every loss, anchors included: found in the package and built with its own defaults."""

import math

import numpy as np
import pytest
import torch
from discover import concrete
from scipy import sparse
from scipy.sparse.linalg import spsolve

from sinefield.errors import UserError
from sinefield.jet import Jet
from sinefield.losses.anchors import Border, Mean, Pixel
from sinefield.losses.base import DerivativeLoss, Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian, harmonic
from sinefield.losses.sobolev import Sobolev
from sinefield.losses.value import Value
from sinefield.losses.weak import Circles, Differences, Squares
from sinefield.signals.base import Signal

pytestmark = pytest.mark.usefixtures("float64")

ROUNDING = 1e-12  # sums of some hundred float64 terms
LOSSES = concrete(Loss)
losses = pytest.mark.parametrize("cls", LOSSES)
of_derivatives = pytest.mark.parametrize("cls", [cls for cls in LOSSES if issubclass(cls, DerivativeLoss)])
CHANNELS, DIMS = 3, 2


def random_jet(loss: Loss, order: int | None = None) -> Jet:
    """A jet as deep as the loss asks, at twelve of its groups of points."""
    n = 12 * (loss.group or 1)
    full = Jet(torch.randn(n, CHANNELS), torch.randn(n, CHANNELS, DIMS), torch.randn(n, CHANNELS, 1))
    return Jet(*full[: (loss.order if order is None else order) + 1])


def powers(loss: Loss, order: int | None = None) -> Jet:
    full = [torch.tensor(value) for value in (0.4, 30.0, 5000.0)]
    return Jet(*full[: (loss.order if order is None else order) + 1])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plus(jet: Jet, other: Jet, factor: float = 1.0) -> Jet:
    return Jet(*(a if a is None else a + factor * b for a, b in zip(jet, other, strict=True)))


def total(terms: dict[str, torch.Tensor]) -> float:
    assert all(term.shape == () for term in terms.values())
    return sum(terms.values()).item()


class Grid(Signal):
    """1 + |x|^2 on a grid of any shape and dimension."""

    def __init__(self, *shape: int) -> None:
        super().__init__(shape, 1)

    def jet(self, x, order):
        value = 1 + x.square().sum(dim=1, keepdim=True)
        return Jet(*(value, 2 * x[:, None], torch.full_like(value[..., None], 2.0 * self.dims))[: order + 1])


def test_there_are_losses():
    """Discovery finds what the package ships."""
    assert {Value, Gradient, Laplacian, Sobolev, Border, Mean, Pixel} <= set(LOSSES)


class TestEvery:
    @losses
    def test_vanishes_at_the_truth_alone(self, cls):
        """loss(jet, jet) = 0, exactly; of two different jets it is positive and finite, each term."""
        loss = cls()
        truth, power = random_jet(loss), powers(loss)
        assert total(loss(truth, truth, power)) == 0
        terms = loss(random_jet(loss), truth, power)
        assert all(0 < term < math.inf for term in terms.values())

    @losses
    def test_is_quadratic_in_the_error(self, cls):
        """Twice the error is four times the loss."""
        loss = cls()
        truth, error, power = random_jet(loss), random_jet(loss), powers(loss)
        once, twice = (loss(plus(truth, error, k), truth, power) for k in (1, 2))
        assert total(twice) == pytest.approx(4 * total(once), rel=ROUNDING)

    @losses
    def test_is_relative(self, cls):
        """Field, signal and power scaled together, a picture of another contrast, leave every term as it is."""
        loss, a = cls(), 7.3
        field, truth, power = random_jet(loss), random_jet(loss), powers(loss)
        terms = loss(field, truth, power)
        scaled = loss(*(jet.map(lambda part: a * part) for jet in (field, truth)), power.map(lambda part: a * a * part))
        assert terms.keys() == scaled.keys()
        assert all(scaled[name].item() == pytest.approx(terms[name].item(), rel=ROUNDING) for name in terms)

    @losses
    def test_compares_channel_by_channel(self, cls):
        """Channels in another order, in both jets, change nothing; in one of them, much."""
        loss, turn = cls(), [1, 2, 0]
        field, truth, power = random_jet(loss), random_jet(loss), powers(loss)
        turned = loss(field.map(lambda part: part[:, turn]), truth.map(lambda part: part[:, turn]), power)
        assert total(turned) == pytest.approx(total(loss(field, truth, power)), rel=ROUNDING)
        assert total(loss(truth.map(lambda part: part[:, turn]), truth, power)) > 1e-3 * total(turned)

    @losses
    def test_errors_of_two_channels_do_not_cancel(self, cls):
        """+e in one channel and -e in another count twice what e in one counts."""
        loss = cls()
        truth, error, power = random_jet(loss), random_jet(loss), powers(loss)
        seen = []
        for signs in ([1.0, 0.0, 0.0], [1.0, -1.0, 0.0]):
            sign = torch.tensor(signs)
            spread = error.map(lambda part, s=sign: part[:, :1] * s.reshape(1, CHANNELS, *[1] * (part.ndim - 2)))
            seen.append(total(loss(plus(truth, spread), truth, power)))
        assert seen[0] > 0
        assert seen[1] == pytest.approx(2 * seen[0], rel=ROUNDING)

    @losses
    def test_asks_for_the_order_it_needs(self, cls):
        """`order` is enough, deeper jets change nothing, and a shallower one is refused in words."""
        loss = cls()
        field, truth, power = random_jet(loss, 2), random_jet(loss, 2), powers(loss, 2)

        def at(order: int) -> float:
            return total(loss(*(Jet(*jet[: order + 1]) for jet in (field, truth, power))))

        assert loss.order in (0, 1, 2)
        assert at(loss.order) == at(2)
        for order in range(loss.order):
            with pytest.raises(TypeError, match="higher order"):
                at(order)

    @losses
    def test_group_is_truthful(self, cls):
        """The loss is the mean of the losses of its groups of points; that of no smaller parts where group is None."""
        loss = cls()
        field, truth, power = random_jet(loss), random_jet(loss), powers(loss)
        size = loss.group or 1
        parts = [
            total(loss(*(jet.map(lambda part, i=i: part[i : i + size]) for jet in (field, truth)), power))
            for i in range(0, 12 * size, size)
        ]
        whole = total(loss(field, truth, power))
        assert (abs(sum(parts) / 12 - whole) <= ROUNDING * whole) == (loss.group is not None)

    @losses
    def test_weight_multiplies(self, cls):
        """Every term is proportional to the weight."""
        one, three = cls(), cls(weight=3.0)
        field, truth, power = random_jet(one), random_jet(one), powers(one)
        terms, heavy = one(field, truth, power), three(field, truth, power)
        assert all(heavy[name].item() == pytest.approx(3 * terms[name].item(), rel=ROUNDING) for name in terms)

    @losses
    @pytest.mark.parametrize("weight", [0, -1.0, math.nan, math.inf, "1", True])
    def test_no_weight(self, cls, weight):
        """A weight that is no finite number above 0 is refused."""
        with pytest.raises(UserError, match="weight"):
            cls(weight=weight)

    @losses
    def test_gradients_reach_the_field(self, cls):
        """The terms can be trained on: a step against the gradient lowers them."""
        loss = cls()
        truth, power = random_jet(loss), powers(loss)
        field = random_jet(loss).map(lambda part: part.requires_grad_())
        before = sum(loss(field, truth, power).values())
        used = [part for part in field if part is not None]
        slopes = torch.autograd.grad(before, used, materialize_grads=True)
        stepped = Jet(*(part - 1e-3 * slope for part, slope in zip(used, slopes, strict=True)))
        assert total(loss(stepped, truth, power)) < before.item()

    @losses
    @pytest.mark.parametrize("shape", [(9, 9), (7, 12)])
    def test_freedom_is_a_projection(self, cls, shape):
        """What the loss cannot see has the error's shape, is all of itself, and leaves nothing else of the error."""
        loss, error = cls(), torch.randn(*shape, CHANNELS)
        free = loss.freedom(error)
        assert free.shape == error.shape
        assert torch.allclose(loss.freedom(free), free, atol=1e-11)
        assert torch.allclose(loss.freedom(error - free), torch.zeros_like(error), atol=1e-11)

    @losses
    @pytest.mark.parametrize("shape", [(9, 9), (5, 12), (40, 50)])
    def test_its_own_points_lie_in_the_box(self, cls, shape):
        """Where a loss names points: whole groups, inside the picture, a function of the generator's seed alone."""
        loss, signal = cls(), Grid(*shape)
        points = loss.points(signal, seeded())
        if points is not None:
            assert len(points) > 0
            assert len(points) % (loss.group or 1) == 0
            assert (points.abs() <= signal.extent + 1e-14).all()
            assert torch.equal(points, loss.points(signal, seeded()))

    @losses
    @pytest.mark.parametrize("shape", [(9, 9), (5, 12)])
    def test_the_signal_fits_its_own_target(self, cls, shape):
        """At the loss's own points the signal's jet gives 0 against `target`, and 1.1 times it does not."""
        loss, signal = cls(), Grid(*shape)
        x = loss.points(signal, seeded())
        x = signal.uniform(50, seeded()) if x is None else x
        jet, target, power = signal.jet(x, loss.order), loss.target(signal, x), powers(loss)
        assert target.order >= loss.order
        assert total(loss(jet, target, power)) < 1e-28
        assert total(loss(jet.map(lambda part: 1.1 * part), target, power)) > 1e-12

    @of_derivatives
    @pytest.mark.parametrize("anchor", [Border(), Mean(), Mean(count=7), Pixel()])
    @pytest.mark.parametrize("shape", [(9, 9), (7, 12)])
    def test_an_anchor_leaves_free_what_it_does_not_see(self, cls, anchor, shape):
        """No more and no less: of the derivatives' freedom that part whose loss at the anchor's points is 0."""
        error, power = torch.randn(*shape, CHANNELS), powers(anchor)
        free, unanchored = cls(anchor=anchor).freedom(error), cls().freedom(error)
        at = Grid(*shape).pixels(anchor.points(Grid(*shape), seeded())).round().long()  # (column, row), the nearest

        def seen(part: torch.Tensor) -> float:
            there = part[at[:, 1], at[:, 0]]
            return total(anchor(Jet(there), Jet(torch.zeros_like(there)), power))

        assert seen(unanchored) > 1e-6
        assert seen(free) < 1e-24
        assert torch.allclose(cls().freedom(free), free, atol=1e-11)
        assert torch.allclose(cls(anchor=anchor).freedom(free), free, atol=1e-11)
        assert torch.allclose(cls(anchor=anchor).freedom(error - free), torch.zeros_like(error), atol=1e-11)
        pinned = unanchored - free
        assert isinstance(anchor, Border) or torch.allclose(pinned, pinned[:1, :1].expand_as(pinned), atol=1e-11)

    @of_derivatives
    def test_a_weak_form_sees_no_more_than_the_derivatives(self, cls):
        error = torch.randn(9, 9, CHANNELS)
        assert torch.equal(cls(weak=Differences()).freedom(error), cls().freedom(error))
        assert cls().freedom(error).any()

    @of_derivatives
    def test_parts_are_the_loss_its_weak_form_and_its_anchor(self, cls):
        weak, anchor = Differences(), Border()
        for given in ({}, {"weak": weak}, {"anchor": anchor}, {"weak": weak, "anchor": anchor}):
            loss = cls(**given)
            assert list(loss.parts) == [loss, *given.values()]


def assert_samples(points: torch.Tensor, signal: Signal) -> None:
    """Every point is a sample of the grid, to rounding, and a different one."""
    distances = torch.cdist(points, signal.grid(), compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.min(dim=1)
    assert nearest.values.max() < 1e-14
    assert len(nearest.indices.unique()) == len(points)


class TestAnchors:
    @pytest.mark.parametrize("shape", [(9,), (4, 4), (5, 12), (12, 5), (4, 5, 6)])
    def test_border_covers_the_border(self, shape):
        """Every point lies on a side of the box, each of the 2 D sides gets its share, and on it all of its length."""
        signal, count = Grid(*shape), 2000 * len(shape)
        points = Border(count=count).points(signal, seeded())
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
        points = Pixel().points(signal, seeded())
        assert_samples(points, signal)
        assert points.shape == (1, 2)
        assert points.norm().item() == pytest.approx(signal.grid().norm(dim=1).min().item(), abs=1e-14)

    @pytest.mark.parametrize("shape", [(9,), (9, 9), (5, 12), (53, 77), (64, 64), (100, 150), (4, 5, 6)])
    @pytest.mark.parametrize("count", [1, 7, 24, 1024])
    def test_mean_takes_at_most_count_samples(self, shape, count):
        """At regular distances through the whole grid: all of them where there are no more than `count`."""
        signal = Grid(*shape)
        points = Mean(count=count).points(signal, seeded())
        assert 0 < len(points) <= count
        assert len(points) == len(signal) or len(signal) > count
        if len(signal) < 1000:
            assert_samples(points, signal)

    def test_mean_sees_the_mean_alone(self):
        """An error that has no mean over its points is not seen; a constant one is, channel by channel."""
        truth, power = random_jet(Mean()), powers(Mean())
        error = torch.randn_like(truth.value)
        error -= error.mean(dim=0)
        assert total(Mean()(Jet(truth.value + error), truth, power)) < 1e-28
        shift = torch.tensor([0.1, -0.1, 0.0])
        assert total(Mean()(Jet(truth.value + shift), truth, power)) == pytest.approx(0.02 / 0.4)


class TestWeakForms:
    """They see what the derivatives see and nothing more, at distances."""

    @staticmethod
    def seen(loss: Loss, error: torch.Tensor) -> float:
        return total(loss(Jet(error), Jet(torch.zeros_like(error)), Jet(torch.tensor(1.0))))

    @pytest.mark.parametrize("shape", [(33, 33), (17, 50)])
    def test_differences_of_a_ramp(self, shape):
        """A constant is not seen; an error a . x counts E|a . (y - x)|^2 / 2; pairs reach half the box."""
        loss, signal = Differences(count=500), Grid(*shape)
        points = loss.points(signal, seeded())
        assert points.shape == (1000, 2)
        assert self.seen(loss, torch.full((1000, 1), 3.0)) == 0
        apart = points[1::2] - points[::2]
        assert (apart.abs() <= signal.extent + 1e-14).all()
        a = torch.tensor([[2.0], [-1.0]])
        assert self.seen(loss, points @ a) == pytest.approx((apart @ a).square().mean().item() / 2, rel=1e-10)

    @pytest.mark.parametrize(("cls", "exact"), [(Circles, 8), (Squares, 4)])
    @pytest.mark.parametrize("shape", [(33, 33), (17, 50)])
    def test_means_do_not_see_harmonic_polynomials(self, cls, exact, shape):
        """Re and Im of (x + i y)^k, k below `exact`, are not seen; x^2, of Laplacian 2, counts E|r^2 / 2|^2."""
        loss, signal = cls(count=500), Grid(*shape)
        points = loss.points(signal, seeded())
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
    """E|f - s|^2 / power, written out: the mean over points, the sum over channels and axes."""

    @pytest.mark.parametrize(
        ("loss", "part"), [(Value(), "value"), (Gradient(), "gradient"), (Laplacian(), "laplacian")]
    )
    def test_of_one_part(self, loss, part):
        field, truth, power = random_jet(loss, 2), random_jet(loss, 2), powers(loss, 2)
        error = (getattr(field, part) - getattr(truth, part)).numpy()
        expected = np.mean([np.sum(np.square(point)) for point in error]) / getattr(power, part).item()
        terms = loss(field, truth, power)
        assert list(terms) == [part]
        assert terms[part].item() == pytest.approx(expected, rel=ROUNDING)

    def test_sobolev_is_the_sum_of_its_terms(self):
        """With its own weight in front, and terms of one name added."""
        field, truth, power = random_jet(Sobolev()), random_jet(Sobolev()), powers(Sobolev())
        terms = {"a": Value(0.5), "b": Laplacian(2.0), "c": Value(0.25), "d": None}
        found = Sobolev(weight=3.0, **terms)(field, truth, power)
        value, laplacian = (total(loss(field, truth, power)) for loss in (Value(), Laplacian()))
        assert found.keys() == {"value", "laplacian"}
        assert found["value"].item() == pytest.approx(3 * 0.75 * value, rel=ROUNDING)
        assert found["laplacian"].item() == pytest.approx(3 * 2 * laplacian, rel=ROUNDING)

    def test_sobolev_is_as_deep_as_its_deepest_term(self):
        assert Sobolev().order == 2
        assert Sobolev(value=Value(), gradient=Gradient(), laplacian=None).order == 1

    def test_sobolev_carries_the_weak_forms_and_anchors_of_its_terms(self):
        weak, anchor = Differences(), Border()
        loss = Sobolev(gradient=Gradient(weak=weak), laplacian=Laplacian(anchor=anchor))
        assert list(loss.parts) == [loss, weak, anchor]

    def test_sobolev_of_nothing(self):
        with pytest.raises(UserError, match="every term"):
            Sobolev(value=None, laplacian=None)


class TestFreedom:
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
        assert torch.equal(Value().freedom(error), torch.zeros_like(error))

    def test_gradients_leave_exactly_a_constant_per_channel(self, plane):
        """A constant is free; what has no mean is seen whole; a ramp is seen but for its mean."""
        x, _ = plane
        constant = torch.tensor([0.3, -2.0, 0.0]).expand(*x.shape[:2], 3)
        assert torch.allclose(Gradient().freedom(constant), constant, atol=ROUNDING)
        noise = torch.randn_like(constant)
        noise -= noise.mean(dim=(0, 1))
        assert Gradient().freedom(noise).abs().max() < ROUNDING
        assert torch.allclose(Gradient().freedom(x), torch.full_like(x, x.mean()), atol=ROUNDING)

    def test_laplacians_leave_exactly_the_harmonic_functions(self, plane, bump):
        """1, x, y, x y and x^2 - y^2 are free; what vanishes on the border is seen whole."""
        x, y = plane
        free = torch.cat([torch.full_like(x, -2.0), 3 * x - y, x * y + x * x - y * y], dim=-1)
        size = free.abs().max()
        assert torch.allclose(Laplacian().freedom(free), free, atol=ROUNDING * size)
        assert torch.equal(Laplacian().freedom(bump), torch.zeros_like(bump))
        assert torch.allclose(Laplacian().freedom(free + bump), free, atol=ROUNDING * size)

    def test_x_squared_is_not_harmonic(self, plane):
        """Its freedom is smaller inside: the mean value property, strictly."""
        x, _ = plane
        free = Laplacian().freedom(x * x)
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
        assert torch.equal(Sobolev().freedom(error), torch.zeros_like(error))
        mean = error.mean(dim=(0, 1)).expand_as(error)
        for terms in ({"g": Gradient(), "l": Laplacian()}, {"l": Laplacian(), "g": Gradient()}):
            assert torch.allclose(Sobolev(**terms).freedom(error), mean, atol=1e-11)
        anchored = Laplacian(anchor=Mean())
        assert torch.allclose(Sobolev(l=anchored).freedom(error), anchored.freedom(error), atol=1e-11)
        assert Sobolev(g=Gradient(), l=anchored).freedom(error).abs().max() < 1e-11


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


@pytest.mark.parametrize("placed", [Border, Mean, Pixel, Differences, Circles, Squares])
def test_a_sum_refuses_terms_with_points_of_their_own(placed):
    with pytest.raises(UserError, match="make it the weak or anchor of another term"):
        Sobolev(value=Value(), other=placed())


@pytest.mark.parametrize("cls", LOSSES)
def test_placed_says_whether_a_loss_has_points_of_its_own(cls):
    assert cls.placed == (cls().points(Grid(9, 9), seeded()) is not None)
