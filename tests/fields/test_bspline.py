"""A trained B-spline against SciPy's, and its jets against autograd."""

import numpy as np
import pytest
import torch
from discover import distance
from scipy.interpolate import BSpline as Reference

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.bspline import BSpline
from sinefield.fields.stack import select_fields, stack_fields

pytestmark = pytest.mark.usefixtures("float64")


def made(dims=2, channels=3, samples=7, **knobs) -> BSpline:
    """With coefficients that are not 0."""
    field = BSpline(dims, channels, samples, **knobs)
    torch.nn.init.normal_(field.coefficients)
    return field


@pytest.mark.parametrize("dims", [1, 2])
def test_equals_scipys(dims):
    """The tensor product of B-splines on the knots of the grid, values and all first derivatives."""
    field, x = made(dims, 1, samples=6), 2 * torch.rand(40, dims) - 1
    knots, h = -1 + 2 / 5 * np.arange(-3, 9), field.coefficients.detach().numpy().reshape((8,) * dims)
    for part, orders in (
        (field.jet(x, 1).value[:, 0], [0] * dims),
        (field.jet(x, 1).gradient[:, 0, -1], [0, 1][-dims:]),
    ):
        matrices = [
            np.stack([Reference(knots, np.eye(8)[k], 3)(x[:, d].numpy(), nu=orders[d]) for k in range(8)], axis=1)
            for d in range(dims)
        ]
        expected = np.einsum("na,a->n", matrices[0], h) if dims == 1 else np.einsum("na,nb,ab->n", *matrices, h)
        assert distance(part.detach(), torch.from_numpy(expected)) < 1e-12


@pytest.mark.parametrize(("dims", "channels"), [(1, 1), (2, 3), (3, 1)])
def test_jet_equals_autograd(dims, channels):
    """Beyond the box too, and so are the derivatives by the coefficients."""
    field, x = made(dims, channels), 2.2 * torch.rand(30, dims) - 1.1
    for operators in (None, torch.eye(dims), torch.randn(2, dims)):
        found, expected = field.jet(x, 2, operators), autograd_jet(field, x, 2, operators)
        weights = expected.map(torch.randn_like)
        for part, other in zip(found.parts, expected.parts, strict=True):
            assert distance(part, other) < 1e-12
        totals = [sum((a * b).sum() for a, b in zip(j.parts, weights.parts, strict=True)) for j in (found, expected)]
        by = [torch.autograd.grad(total, field.coefficients)[0] for total in totals]
        assert distance(*by) < 1e-12


def test_a_stack_is_each_field():
    """Values and jets of K splines, and one taken out again."""
    single, x = [made() for _ in range(3)], 2 * torch.rand(5, 2) - 1
    stack = stack_fields(single)
    for k, field in enumerate(single):
        for part, other in zip(stack.jet(x, 2).parts, field.jet(x, 2).parts, strict=True):
            assert distance(part[k], other) < 1e-13
        assert distance(select_fields(stack, k)(x), field(x)) < 1e-13


def test_other_parameters_may_be_given():
    """By their names; a name that is not there is refused."""
    field, x = made(), 2 * torch.rand(5, 2) - 1
    given = {"coefficients": 2 * field.coefficients}
    assert distance(field.jet(x, 0, parameters=given).value, 2 * field(x)) < 1e-13
    with pytest.raises(UserError, match="no weight"):
        field.jet(x, 0, parameters={"weight": x})


@pytest.mark.parametrize(("knob", "value"), [("samples", 1), ("spacing", 0.0), ("samples", 10**6)])
def test_what_makes_no_grid_is_refused(knob, value):
    with pytest.raises(UserError, match=rf"field\.{knob}"):
        BSpline(2, 1, **{knob: value})
