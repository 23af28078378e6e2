"""The jet of a radiance field, by the place, is that of nested autograd."""

import pytest
import torch

from sinefield.activations.sine import Sine
from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.radiance import RadianceField

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def field() -> RadianceField:
    torch.manual_seed(0)
    return RadianceField(3, 4, width=8, depth=1, features=5, activation=Sine(3.0))


@pytest.mark.parametrize("directed", [False, True])
def test_jet_is_that_of_autograd(field, directed):
    place = torch.rand(9, 3) * 2 - 1
    ray = torch.nn.functional.normalize(torch.randn(9, 3), dim=1) if directed else place[:, :0]
    found = field.jet(torch.cat([place, ray], 1), 2, torch.eye(3))
    expected = autograd_jet(lambda x: field(torch.cat([x, ray], 1)), place, 2, torch.eye(3))
    for part, other in zip(found.parts, expected.parts, strict=True):
        torch.testing.assert_close(part, other)


def test_density_does_not_depend_on_the_direction(field):
    place = torch.rand(5, 3)
    one, other = (field(torch.cat([place, torch.nn.functional.normalize(torch.randn(5, 3), dim=1)], 1)) for _ in "ab")
    torch.testing.assert_close(one[:, 0], other[:, 0])
    assert (one[:, 1:] - other[:, 1:]).abs().max() > 1e-3
    assert (one[:, 0] > 0).all()
    assert (one[:, 1:].abs() <= 1).all()


def test_is_for_density_and_colour():
    with pytest.raises(UserError, match="signal=scene"):
        RadianceField(2, 3, activation=Sine())
