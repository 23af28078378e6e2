"""Fields whose weights are made of a code: their jets, their start, and what a run's folder must keep of them."""

import pytest
import torch

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.conditional import Observation
from sinefield.fields.encoders.none import Table
from sinefield.fields.hypernetwork import Hypernetwork
from sinefield.fields.mlp import Siren
from sinefield.fields.modulated import Modulated

pytestmark = pytest.mark.usefixtures("float64")
CODE = 5
KINDS = {
    "hypernetwork": (Hypernetwork, {"hidden": 7}),
    "all": (Modulated, {"hidden": 7, "depth": 2}),
    "shifts": (Modulated, {"scale": False, "head": False, "hidden": 0}),
    "film": (Modulated, {"head": False, "hidden": 7, "depth": 1}),
    "last layer": (Modulated, {"shift": False, "scale": False, "hidden": 7}),
}


def look(numbers, views):
    """Nothing of a picture but its number, which is all that `Table` asks for."""
    values = torch.zeros(len(numbers), 4, 3)
    return Observation(numbers, views, torch.zeros(4, 2), values, values[..., 0] == 0, (2, 2))


def make(kind, seed=0):
    """A field of three pictures with codes and maps of a size that is seen."""
    torch.manual_seed(seed)
    cls, knobs = KINDS[kind]
    field = cls(Siren(2, 3, width=8, depth=1), 2, Table(CODE, 3), **knobs)
    torch.nn.init.normal_(field.encoder.rows)
    for each in field.heads.maps:
        torch.nn.init.normal_(each.weight, std=0.1)
    field.observe(look)
    return field


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


def points():
    """Of three pictures, mixed and in unequal numbers."""
    numbers = torch.tensor([2.0, 0.0, 1.0, 2.0, 2.0, 1.0, 0.0])
    return torch.cat([torch.rand(7, 2) * 2 - 1, numbers[:, None], torch.zeros(7, 1)], dim=1)


def test_jet_is_that_of_each_picture_by_nested_autograd(kind):
    """Value, gradient and all second derivatives; the networks are unlike each other."""
    field, x = make(kind), points()
    found = field.jet(x, order=2, operators=torch.eye(2))
    for k in range(3):
        rows = x[:, 2] == k
        plain = field.alone(look(torch.tensor([k]), torch.tensor([0])))
        expected = autograd_jet(plain, x[rows, :2], 2, torch.eye(2))
        for part, other in zip(found.parts, expected.parts, strict=True):
            torch.testing.assert_close(part[rows], other)
    same = torch.cat([x[:1, :2].expand(3, 2), torch.arange(3.0)[:, None], torch.zeros(3, 1)], dim=1)
    assert field(same).std(0).min() > 1e-3


def test_a_derivative_loss_reaches_codes_and_maps(kind):
    """The gradient of a mean square of Laplacians by a code equals a difference quotient."""
    field, x = make(kind), points()

    def energy():
        return field.jet(x, order=2).laplacian.square().mean()

    energy().backward()
    for name, each in zip(field.heads.shapes, field.heads.maps, strict=True):
        assert name == "head.bias" or each.weight.grad.abs().max() > 0  # which no derivative sees
    step = torch.zeros_like(field.encoder.rows)
    step[1, 2] = 1e-6
    with torch.no_grad():
        field.encoder.rows += step
        above = energy()
        field.encoder.rows -= 2 * step
        below = energy()
    assert field.encoder.rows.grad[1, 2].item() == pytest.approx(((above - below) / 2e-6).item(), rel=1e-5)


def test_a_modulation_is_what_the_equation_says():
    """sin of (1 + gamma) z + beta, and a last layer W + dW, b + db."""
    field = make("all")
    code = torch.randn(1, CODE)
    change = field.heads([torch.cat([code, field.mapping(code).relu()], dim=1)] * len(field.heads.shapes))
    x = h = torch.rand(9, 2)
    for i, layer in enumerate(field.base.layers):
        z = (1 + change[f"layers.{i}.scale"]) * layer(h) + change[f"layers.{i}.bias"]
        h = field.activation(z, 0, i == 0)[0]
    head = field.base.head
    expected = h @ (head.weight + change["head.weight"][0]).T + head.bias + change["head.bias"][0]
    found = field.jet_of(field.made(code), x, torch.zeros(9, dtype=torch.long), 1, 0).value
    torch.testing.assert_close(found, expected)


def test_all_pictures_start_as_nearly_the_base(kind):
    """The maps start small: the paper's initialisation."""
    torch.manual_seed(0)
    cls, knobs = KINDS[kind]
    field = cls(Siren(2, 3, width=8, depth=1), 2, Table(CODE, 3), **knobs)
    x = torch.rand(50, 2)
    with torch.no_grad():
        found = field.jet_of(field.made(torch.randn(1, CODE)), x, torch.zeros(50, dtype=torch.long), 1, 0).value
        assert 0 < (found - field.base(x)).square().mean() < 0.05 * field.base(x).square().mean()


def test_sizes_are_mean_squares_of_code_and_weights():
    field = make("hypernetwork")
    made = field.made(torch.full((1, CODE), 2.0))
    flat = torch.cat([part.flatten() for part in made.parameters.values()])
    assert len(flat) == sum(part.numel() for part in field.base.parameters())
    torch.testing.assert_close(made.sizes, torch.stack([torch.tensor(4.0), flat.square().mean()])[None])


def test_weights_are_all_that_another_field_needs(kind):
    """A field that was built with another seed and loads the weights is the same function."""
    field, other, x = make(kind), make(kind, seed=1), points()
    other.load_state_dict(field.state_dict())
    assert torch.equal(field(x), other(x))


def test_mistakes():
    with pytest.raises(UserError, match="keep shift, scale or head"):
        Modulated(Siren(2, 3, width=8), 2, Table(CODE, 3), shift=False, scale=False, head=False)
    with pytest.raises(UserError, match="must be an Encoder"):
        Modulated(Siren(2, 3, width=8), 2, torch.nn.Identity())
