"""A learned start: its gradients are those of the whole inner loop, written out one picture at a time."""

from __future__ import annotations

import copy

import pytest
import torch

from sinefield.errors import UserError
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import Siren
from sinefield.fields.start import LearnedStart

pytestmark = pytest.mark.usefixtures("float64")
PIXELS, COUNT = 12, 3
X = torch.rand(PIXELS, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
PICTURES = torch.rand(COUNT, PIXELS, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1


def look(numbers, views):
    """Picture k, of which the first pixels are not seen in view k > 0."""
    seen = torch.arange(PIXELS) >= views[:, None]
    return Observation(numbers, views, X, PICTURES[numbers] * seen[..., None], seen, (3, 4))


def made(**arguments) -> LearnedStart:
    torch.manual_seed(0)
    field = LearnedStart(Siren(2, 2, width=5, depth=1, omega0=5.0), dims=2, **{"rate": 0.03, **arguments})
    for part in field.log_rates:  # unlike each other
        part.data += 0.05 * torch.randn_like(part)
    field.observe(look)
    return field


def points(*pictures: tuple[int, int]) -> torch.Tensor:
    """Pixels of pictures (number, view), all in float64."""
    return torch.cat([torch.cat([X, torch.tensor([[k, v]]).expand(PIXELS, 2).to(X)], 1) for k, v in pictures])


def outer(field: LearnedStart) -> torch.Tensor:
    """A loss of values and gradients over two pictures, one of which is seen in part."""
    jet = field.jet(points((0, 0), (2, 4)), order=1)
    return (jet.value - PICTURES[[0, 2]].flatten(0, 1)).square().mean() + 0.01 * jet.gradient.square().mean()


def by_hand(field: LearnedStart, number: int, view: int, steps: int, cut: bool = False) -> dict[str, torch.Tensor]:
    """The inner loop on one picture with plain autograd; `cut`: without derivatives of its gradients."""
    observation = look(torch.tensor([number]), torch.tensor([view]))
    seen, rates = observation.seen[0], field.rates()
    given = dict(field.base.named_parameters())
    for k in range(steps):
        value = torch.func.functional_call(field.base, given, (X[seen],))
        loss = (value - observation.values[0, seen]).square().mean()
        slopes = torch.autograd.grad(loss, list(given.values()), create_graph=not cut)
        at = min(k, field.steps - 1)
        given = {name: part - rates[name][at] * g for (name, part), g in zip(given.items(), slopes, strict=True)}
    return given


def gradients(loss: torch.Tensor, field: LearnedStart) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, [p for p in field.parameters() if p.requires_grad], materialize_grads=True))


def test_gradients_equal_finite_differences():
    """By start and rates, along random directions, central differences."""
    field = made(steps=3, points=None)
    found = gradients(outer(field), field)
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        way = [torch.randn(p.shape, generator=generator) for p in field.parameters()]
        slope, h = sum((a * b).sum() for a, b in zip(found, way, strict=True)), 1e-5
        values = []
        for sign in (1, -2):
            for p, d in zip(field.parameters(), way, strict=True):
                p.data += sign * h * d
            values.append(outer(field).item())
        for p, d in zip(field.parameters(), way, strict=True):
            p.data += h * d
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(slope.item(), rel=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_stacked_inner_loops_are_those_of_one_picture_after_the_other(order):
    """Jets, and gradients by start and rates; of first order with the gradients of the inner loop cut off."""
    field = made(steps=2, points=None, order=order)
    found = outer(field)
    parts = []
    for number, view in ((0, 0), (2, 4)):
        given = by_hand(field, number, view, 2, cut=order == 1)
        parts.append(field.base.jet(X, 1, None, given))
    value, gradient = (torch.cat(pair) for pair in zip(*(jet.parts for jet in parts), strict=True))
    expected = (value - PICTURES[[0, 2]].flatten(0, 1)).square().mean() + 0.01 * gradient.square().mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, field), gradients(expected, field))


def test_reptile_moves_the_start_by_its_formula():
    """A step of SGD at rate e on half the square distance is ``theta + e mean(theta_K - theta)``."""
    field, e = made(steps=2, points=None, order=0), 0.1
    before = [p.detach().clone() for p in field.base.parameters()]
    ends = [list(by_hand(field, *which, 2, cut=True).values()) for which in ((0, 0), (2, 4))]
    jet = field.jet(points((0, 0), (2, 4)), order=0)
    assert not jet.value.requires_grad
    jet.sizes[:, 1].mean().backward()
    torch.optim.SGD(field.base.parameters(), lr=e).step()
    for after, start, *arrived in zip(field.base.parameters(), before, *ends, strict=True):
        torch.testing.assert_close(after.detach(), start + e * (sum(arrived).detach() / 2 - start))


def test_drawn_pixels_are_seen_and_a_function_of_number_and_view():
    field = made(steps=2, points=5).train()
    observation = look(torch.tensor([0, 2, 2]), torch.tensor([0, 7, 8]))
    drawn = field._drawn(observation, 2)
    assert drawn.shape == (2, 3, 5)
    assert observation.seen[torch.arange(3)[None, :, None], drawn].all()
    alone = look(torch.tensor([2]), torch.tensor([7]))
    assert torch.equal(field._drawn(alone, 2)[:, 0], drawn[:, 1])
    assert not torch.equal(drawn[0], drawn[1])


def test_training_sees_the_pixels_that_are_drawn_and_evaluation_all():
    """One picture of one pixel a step equals a hand-made step there; in evaluation mode all are seen."""
    field = made(steps=1, points=1)
    x = points((1, 0))
    pixel = field._drawn(look(torch.tensor([1]), torch.tensor([0])), 1)[0, 0]
    given = dict(field.base.named_parameters())
    loss = (torch.func.functional_call(field.base, given, (X[pixel],)) - PICTURES[1, pixel]).square().mean()
    slopes = torch.autograd.grad(loss, list(given.values()))
    given = {n: p - field.rates()[n][0] * g for (n, p), g in zip(given.items(), slopes, strict=True)}
    torch.testing.assert_close(field(x), field.base.jet(X, 0, None, given).value)
    plain = field.eval().alone(look(torch.tensor([1]), torch.tensor([0])))
    torch.testing.assert_close(field(x), plain(X))
    assert not torch.allclose(field(x), field.train()(x))


def test_a_picture_of_which_nothing_is_seen_is_the_start():
    for points_ in (None, 3):
        field = made(points=points_)
        torch.testing.assert_close(field(points((1, PIXELS))), field.base(X))


def test_only_the_shifts_take_steps():
    """functa's modulations, by a pattern of names."""
    field = made(adapted="layers.*.bias")
    found = field.adapt(look(torch.tensor([0]), torch.tensor([0])), 1)
    assert list(found.parameters) == ["layers.0.bias", "layers.1.bias"]
    with pytest.raises(UserError, match=r"layers\.0\.weight"):
        made(adapted="shift")


def test_it_is_the_same_without_recording():
    """As a run is evaluated: under no_grad and inference mode."""
    field, x = made(points=None), points((0, 0), (1, 3))
    expected = field(x).detach()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(field(x), expected)


def test_the_inner_steps_of_adam_are_those_of_torch_with_a_falling_rate():
    """Against torch's Adam, one picture at a time; rate and first beta fall along lines."""
    steps = 4
    torch.manual_seed(0)
    field = LearnedStart(Siren(2, 2, width=5, depth=1, omega0=5.0), dims=2, steps=steps, rate=0.02, order=0, adam=True)
    field.eval()
    for number, view in ((0, 0), (2, 4)):
        seen = look(torch.tensor([number]), torch.tensor([view]))
        alone = copy.deepcopy(field.base)
        optimizer = torch.optim.Adam(alone.parameters(), betas=(0.9, 0.99))
        x, values = X[seen.seen[0]], seen.values[0, seen.seen[0]]
        for k in range(steps):
            optimizer.param_groups[0].update(lr=0.02 * (1 - k / steps), betas=(0.9 - 0.3 * k / steps, 0.99))
            optimizer.zero_grad()
            (alone(x) - values).square().mean().backward()
            optimizer.step()
        found = field.adapt(seen, steps).parameters
        for name, part in alone.named_parameters():
            torch.testing.assert_close(found[name][0], part.detach(), rtol=1e-6, atol=1e-8)


def test_the_gradient_goes_through_adams_first_moments():
    """By start and rates, against a loop over one picture in plain autograd, where second moments are constants."""
    field = made(adam=True, steps=2, points=None, rate=0.01)
    x, values = X, PICTURES[0]
    given, first, second = dict(field.base.named_parameters()), {}, {}
    for k in range(2):
        error = (torch.func.functional_call(field.base, given, (x,)) - values).square().mean()
        slopes = torch.autograd.grad(error, list(given.values()), create_graph=True)
        beta, after = 0.9 - 0.15 * k, {}
        for (name, part), slope in zip(given.items(), slopes, strict=True):
            first[name] = beta * first.get(name, 0) + (1 - beta) * slope
            second[name] = 0.99 * second.get(name, 0) + 0.01 * slope.detach() ** 2
            way = first[name] / (1 - beta ** (k + 1)) / ((second[name] / (1 - 0.99 ** (k + 1))).sqrt() + 1e-8)
            after[name] = part - field.rates()[name][k] * way
        given = after
    expected = (torch.func.functional_call(field.base, given, (x,)) - values).square().mean()
    loss = (field.jet(points((0, 0)), order=0).value - values).square().mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(loss, field), gradients(expected, field))
