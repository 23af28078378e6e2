"""Completing pictures: refined codes and tuned fields follow what is seen, and nothing else."""

import pytest
import torch

from sinefield.fields.conditional import Observation
from sinefield.fields.encoders.set import Set
from sinefield.fields.mlp import Siren
from sinefield.fields.modulated import Modulated

pytestmark = pytest.mark.usefixtures("float64")
SIDE, CODE = 6, 4
SPREAD = torch.tensor([0.5, 1.0, 2.0, 1.0], dtype=torch.float64)


def observation(share=0.5, count=3):
    """Smooth pictures, of each of which other pixels and another number of them are seen."""
    axis = torch.linspace(-1, 1, SIDE)
    x = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
    values = torch.sin(x @ torch.randn(2, 3 * count)).unflatten(1, (count, 3)).movedim(1, 0)
    seen = torch.rand(count, SIDE**2) < share
    numbers = torch.full((count,), -1)
    return Observation(numbers, numbers * 0, x, values * seen[..., None], seen, (SIDE, SIDE))


@pytest.fixture
def field():
    """Linear in its code: the last layer alone is made, by linear maps."""
    field = Modulated(Siren(2, 3, width=24, depth=1), 2, Set(CODE, 3, width=8), shift=False, scale=False, hidden=0)
    for each in field.heads.maps:
        torch.nn.init.normal_(each.weight, std=0.3)
    return field


def error(found, seen):
    """The mean square of what is off at the pixels that are seen, of each picture."""
    return ((found - seen.values).square().sum(2) * seen.seen).sum(1) / seen.seen.sum(1)


def test_a_refined_code_is_the_least_of_its_energy(field):
    """Of a field that is linear in the code this is ridge regression, solved here in closed form."""
    seen = observation()
    found = field.refine(seen, SPREAD, steps=500, off=0.3)
    start = field.codes([seen])
    for k in range(3):
        x, known = seen.x[seen.seen[k]], seen.values[k, seen.seen[k]].flatten()
        corners = torch.cat([torch.zeros(1, CODE), torch.diag(SPREAD)]) + start[k]
        base, *moved = field.values(corners, x).detach().flatten(1)
        slopes = torch.stack(moved, dim=1) - base[:, None]
        best = torch.linalg.solve(slopes.T @ slopes / 0.3**2 + torch.eye(CODE), slopes.T @ (known - base) / 0.3**2)
        torch.testing.assert_close(found[k], start[k] + SPREAD * best, rtol=1e-3, atol=1e-3)


def test_each_step_is_nearer_to_what_is_seen(field):
    """The encoder's code, the refined one, and a field of its own; the field of all keeps its weights."""
    seen, before = observation(), {name: part.clone() for name, part in field.state_dict().items()}
    first, code = field.codes([seen]), field.refine(seen, SPREAD)
    stack = field.tune(code, seen, steps=200)
    with torch.no_grad():
        tuned = stack.jet(seen.x.expand(3, -1, -1), 0).value
    errors = [error(field.values(z, seen.x), seen) for z in (first, code)] + [error(tuned, seen)]
    assert (errors[1] < errors[0]).all()
    assert (errors[2] < 0.5 * errors[1]).all()
    assert all(torch.equal(part, field.state_dict()[name]) for name, part in before.items())


def test_a_picture_that_is_seen_whole_is_kept(field):
    seen = observation(share=1.1)
    stack = field.tune(field.codes([seen]), seen, steps=800, rate=2e-3)
    with torch.no_grad():
        assert error(stack.jet(seen.x.expand(3, -1, -1), 0).value, seen).max() < 1e-4


def test_pictures_do_not_disturb_each_other(field):
    """One of three is completed as it is alone, and what lies at pixels that are not seen does not matter."""
    seen = observation()
    noise = torch.where(seen.seen[..., None], seen.values, torch.rand_like(seen.values))
    alone = seen._replace(numbers=seen.numbers[1:2], views=seen.views[1:2], values=noise[1:2], seen=seen.seen[1:2])
    code = field.refine(seen, SPREAD, steps=40)
    torch.testing.assert_close(field.refine(alone, SPREAD, steps=40), code[1:2])
    both, one = (field.tune(z, part, steps=40) for z, part in ((code, seen), (code[1:2], alone)))
    for whole, part in zip(both.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(whole[1:2], part)


def test_networks_of_codes_are_those_of_the_field(field):
    """A stack of plain fields, with the same values."""
    code, x = torch.randn(3, CODE), torch.rand(7, 2)
    with torch.no_grad():
        found = field.fields(code).jet(x.expand(3, -1, -1), 0).value
    torch.testing.assert_close(found, field.values(code, x))
