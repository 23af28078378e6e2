"""A local prior: its jets are those of nested autograd, it keeps the samples, and it is smooth where cells meet."""

import pytest
import torch

from sinefield.activations.sine import Sine
from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.conditional import Observation
from sinefield.fields.local_prior import LocalPrior
from sinefield.fields.mlp import CoordinateMLP
from sinefield.signals import spline

pytestmark = pytest.mark.usefixtures("float64")

INNER, REACH = 6, 6  # samples along a patch, and seen around it


def make(floor=0.01, start=False) -> LocalPrior:
    torch.manual_seed(0)
    base = CoordinateMLP(2, 1, width=8, depth=1, activation=Sine(omega0=4.0, hidden_omega0=2.0))
    field = LocalPrior(base, features=8, depth=2, floor=floor)
    assert field.reach == REACH
    if not start:
        torch.nn.init.normal_(field.head.weight)
        torch.nn.init.normal_(field.codes.weight)
    return field


class Pictures:
    """Random pictures; `change` is done to all of them."""

    def __init__(self, change=lambda s: s):
        n, h = INNER + 2 * REACH, 2 / (INNER - 1)
        self.samples = torch.rand(3, n, n, generator=torch.Generator().manual_seed(1)) * 2 - 1
        axis = (torch.arange(n) - REACH) * h - 1
        self.x = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
        self.change, self.n = change, n

    def __call__(self, numbers, views):
        values = self.change(self.samples[numbers]).flatten(1)[..., None]
        return Observation(numbers, views, self.x, values, torch.ones_like(values[..., 0]).bool(), (self.n, self.n))


def points(count=20) -> torch.Tensor:
    """Of three pictures, mixed."""
    x = torch.rand(count, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return torch.cat([x, torch.arange(count)[:, None] % 3, torch.ones(count, 1)], dim=1)


@pytest.mark.parametrize("operators", [None, torch.eye(2), torch.tensor([[1.0, -4.0]])])
def test_jet_is_that_of_autograd(operators):
    field, x = make(), points()
    field.observe(Pictures())
    operators = operators if operators is None else operators.double()
    found = field.jet(x, 2, operators)
    four = None if operators is None else torch.cat([operators, torch.zeros(len(operators), 2)], dim=1)
    expected = autograd_jet(field, x, 2, four if four is not None else torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    assert expected.gradient is not None
    torch.testing.assert_close(found.value, expected.value)
    torch.testing.assert_close(found.gradient, expected.gradient[..., :2])
    torch.testing.assert_close(found.second, expected.second)


def test_it_keeps_the_samples():
    field, pictures = make(), Pictures()
    field.observe(pictures)
    inner = slice(REACH, REACH + INNER)
    x = pictures.x.reshape(pictures.n, pictures.n, 2)[inner, inner].flatten(0, 1)
    for k in range(3):
        about = torch.tensor([k, 1.0]).expand(len(x), 2)
        values = field(torch.cat([x, about], dim=1)).reshape(INNER, INNER)
        torch.testing.assert_close(values, pictures.samples[k, inner, inner])


def test_inexact_it_moves_the_samples_by_g_there():
    field, exact = make(), make()
    field.exact = False
    x = points()
    for one in (field, exact):
        one.observe(Pictures())
    assert (field(x) - exact(x)).abs().max() > 0.1
    x[:, :2] = (x[:, :2] > 0) * 2 / (INNER - 1) - 1 / (INNER - 1)  # the samples in the middle
    row, made = x[:, 2].long(), field.make(Pictures().samples)
    k = ((x[:, :2] + 1) / 2 * (INNER - 1)).round().long()
    own = made[row, k[:, 1], k[:, 0]]
    expected = field._local(torch.zeros(len(x), 2), own[:, :-1], 0).value
    torch.testing.assert_close(field(x) - exact(x), expected)


def test_it_is_twice_differentiable_where_cells_meet():
    """On both sides of a border between two cells value, gradient and both second derivatives are the same."""
    field = make()
    field.observe(Pictures())
    h, tiny = 2 / (INNER - 1), 1e-9
    for axis in (0, 1):
        x = points(9)
        x[:, axis] = -1 + 2 * h
        one, other = (field.jet(x + step * torch.eye(4)[axis], 2, torch.eye(2)) for step in (-tiny, tiny))
        for left, right in zip(one.parts, other.parts, strict=True):
            assert (left - right).abs().max() < 1e-5 * (1 + left.abs().max())


def test_contrast_and_brightness_pass_through():
    """f(a s + b) = a f(s) + b, where the deviation around every sample is far above the floor."""
    x, answers = points(), []
    for change in (lambda s: s, lambda s: 0.3 * s + 0.2):
        field = make(floor=1e-9)
        field.observe(Pictures(change))
        answers.append(field(x))
    torch.testing.assert_close(answers[1], 0.3 * answers[0] + 0.2)


def test_the_start_is_the_spline():
    """That which SciPy solves for, through all that is seen."""
    field, pictures, x = make(start=True), Pictures(), points()
    field.observe(pictures)
    found, h = field.jet(x, 2), 2 / (INNER - 1)
    for k in range(3):
        mine = x[:, 2] == k
        c = torch.from_numpy(spline.coefficients(pictures.samples[k, :, :, None].numpy(), 3))
        expected = spline.evaluate(c, (x[mine, :2] + 1) / h + REACH, 3, 2, h)
        for part, other in zip(found.parts, expected.parts, strict=True):
            torch.testing.assert_close(part[mine], other, rtol=1e-9, atol=1e-9)


def test_gradients_reach_all_parameters():
    field = make()
    field.observe(Pictures())
    field.jet(points(), 1).gradient.square().sum().backward()
    without = {name for name, p in field.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {"base.head.bias"}  # of g(u) - g(0)


def test_without_pictures_it_says_so():
    with pytest.raises(UserError, match="no pictures"):
        make()(points())


def test_a_base_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="2 coordinates"):
        LocalPrior(CoordinateMLP(3, 1, width=8, depth=1, activation=Sine()))
