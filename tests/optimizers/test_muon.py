"""Muon against torch's, on the matrices that are its own; Adam on all others."""

import copy

import pytest
import torch
from discover import distance

from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.fields.stack import select_fields, stack_fields
from sinefield.optimizers import muon
from sinefield.optimizers.muon import Muon, orthogonalized

pytestmark = pytest.mark.usefixtures("float64")


def loss(field) -> torch.Tensor:
    x = torch.linspace(-1, 1, 40).reshape(20, 2)
    return (field(x) - x.sum(1, keepdim=True).sin()).square().sum()


def stepped(field, *optimizers, steps=3):
    for _ in range(steps):
        field.zero_grad()
        loss(field).backward()
        for optimizer in optimizers:
            optimizer.step()
    return field


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
def test_a_step_has_the_polar_factors_directions(shape):
    """U V^T of the singular vectors, with singular values in [0.6, 1.3] instead of 1."""
    matrix = torch.randn(shape)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ orthogonalized(matrix) @ vt.mT
    assert distance(inner, torch.diag(inner.diag())) < 1e-12
    assert ((inner.diag() > 0.3) & (inner.diag() < 1.3)).all()


def test_hidden_matrices_go_as_torchs_muon_the_rest_as_adam():
    """Torch's works in bfloat16: 2 % of the way; Adam's parameters agree to the last bits."""
    ours, theirs = Siren(2, 1, 16, 2), None
    theirs = copy.deepcopy(ours)
    hidden = [theirs.layers[1].weight, theirs.layers[2].weight]
    start = [p.detach().clone() for p in hidden]
    rest = [p for p in theirs.parameters() if all(p is not h for h in hidden)]
    stepped(ours, Muon(ours.parameters(), lr=1e-3, hidden_lr=0.01), steps=1)
    other = torch.optim.Muon(hidden, lr=0.01, weight_decay=0.0)
    stepped(theirs, other, torch.optim.Adam(rest, lr=1e-3), steps=1)
    for layer, before in zip((1, 2), start, strict=True):
        moves = [net.layers[layer].weight.detach() - before for net in (ours, theirs)]
        assert distance(*moves) < 0.05
    for name in ("layers.0.weight", "head.weight", "layers.2.bias"):
        assert distance(ours.get_parameter(name).detach(), theirs.get_parameter(name).detach()) < 1e-12


def test_a_stack_is_stepped_field_by_field():
    single = [Siren(2, 1, 8, 2) for _ in range(3)]
    stack = stack_fields(single)
    optimizer = Muon(stack.parameters())
    for _ in range(3):
        stack.zero_grad()
        sum(loss(select_fields(stack, k)) for k in range(3))
        x = torch.linspace(-1, 1, 40).reshape(20, 2)
        (stack(x) - x.sum(1, keepdim=True).sin()).square().sum().backward()
        optimizer.step()
    for k, field in enumerate(single):
        alone = stepped(field, Muon(field.parameters()))
        for part, other in zip(select_fields(stack, k).parameters(), alone.parameters(), strict=True):
            assert distance(part.detach(), other.detach()) < 1e-9


def test_without_hidden_matrices_it_is_adam():
    """Of one vector, or of a network without a hidden layer."""
    ours = Siren(2, 1, 8, 0)
    theirs = copy.deepcopy(ours)
    stepped(ours, Muon(ours.parameters(), lr=1e-2))
    stepped(theirs, torch.optim.Adam(theirs.parameters(), lr=1e-2))
    for part, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert distance(part.detach(), other.detach()) < 1e-12
    assert len(Muon([torch.ones(2, requires_grad=True)]).param_groups[0]["params"]) == 0


def test_a_state_goes_on_where_it_was():
    """Saved after two steps and loaded into another one, the next step is the same."""
    first = Siren(2, 1, 8, 2)
    optimizer = Muon(first.parameters())
    stepped(first, optimizer)
    second = copy.deepcopy(first)
    again = Muon(second.parameters())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for part, other in zip(stepped(first, optimizer).parameters(), stepped(second, again).parameters(), strict=True):
        assert torch.equal(part, other)


@pytest.mark.parametrize(("knob", "value"), [("lr", 0.0), ("hidden_lr", -1.0), ("momentum", 1.0)])
def test_what_is_no_rate_is_refused(knob, value):
    with pytest.raises(UserError, match=rf"optimizer\.{knob} "):
        muon.Muon(Siren(2, 1, 8, 2).parameters(), **{knob: value})


def test_a_convolution_is_a_matrix():
    """Of its output channels against the rest; one of a single input channel goes as Adam's."""
    first, second = torch.nn.Conv2d(1, 6, 3), torch.nn.Conv2d(6, 4, 3)
    other, ours = copy.deepcopy(first), Muon([*first.parameters(), *second.parameters()], hidden_lr=0.01)
    for each in (first.weight, second.weight):
        each.grad = torch.randn(each.shape)
    before = second.weight.detach().clone()
    gradient = second.weight.grad.flatten(1)
    ours.step()
    expected = -0.01 * orthogonalized(gradient)  # the first momentum is a share of the gradient
    assert distance((second.weight.detach() - before).flatten(1), expected) < 1e-12
    moves = (first.weight - other.weight).detach()
    assert (moves.abs() - 1e-3).abs().max() < 1e-6
