"""Learned first steps: those of the inner loop that learned them, then Adam's with warm moments."""

from __future__ import annotations

import copy

import pytest
import torch
from discover import distance

from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.fields.conditional import Observation
from sinefield.fields.mlp import Siren
from sinefield.fields.start import LearnedStart
from sinefield.losses.base import Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.value import Value
from sinefield.optimizers.learned import Learned
from sinefield.training.data import Samples
from sinefield.training.optimizer_state import restore_optimizer

pytestmark = pytest.mark.usefixtures("float64")
LOSS = Loss({"value": Value()})
X = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
VALUES = X.prod(1, keepdim=True).repeat(1, 2)
BATCH = [Samples(X, Jet(VALUES))]


def start() -> LearnedStart:
    field = LearnedStart(Siren(2, 2, width=6, depth=1, omega0=5.0), dims=2, steps=3, rate=0.02)
    for part in field.log_rates:
        part.data += 0.05 * torch.randn_like(part)
    return field


def step(field, optimizer) -> None:
    """As the training loop takes it."""
    optimizer.solve(field, LOSS, BATCH, {})

    def closure():
        optimizer.zero_grad()
        error = (field(X) - VALUES).square().mean()
        error.backward()
        return error

    optimizer.step(closure)


def test_first_steps_are_those_of_the_inner_loop():
    """Of the field that learned the rates, the last of which goes on behind K."""
    learned = start()
    field = copy.deepcopy(learned.base)
    optimizer = Learned(field.parameters(), learned.rates(), inner=5, lr=0.1)
    seen = torch.ones(1, len(X), dtype=torch.bool)
    observation = Observation(torch.zeros(1).long(), torch.zeros(1).long(), X, VALUES[None], seen, (4, 5))
    for k in range(1, 6):
        step(field, optimizer)
        for name, expected in learned.eval().adapt(observation, k).parameters.items():
            assert distance(field.get_parameter(name).detach(), expected[0].detach()) < 1e-12
    before = copy.deepcopy(field)
    step(field, optimizer)  # Adam's first
    moved = [(a - b).abs().max().item() for a, b in zip(field.parameters(), before.parameters(), strict=True)]
    assert 0.01 < max(moved) < 0.3
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("taken", [1, 3, 4])
def test_its_state_is_restored_at_any_step(taken):
    """Before, at and behind the change to Adam, after three learned steps, by the training loop's own means."""
    learned = LearnedStart(Siren(2, 2, width=6, depth=1, omega0=5.0), dims=2, steps=3, rate=0.02, adam=True)
    field = copy.deepcopy(learned.base)

    def optimizer_of(parameters) -> Learned:
        return Learned(parameters, learned.rates(), lr=0.01, adam=True)

    first = optimizer_of(field.parameters())
    for _ in range(taken):
        step(field, first)
    other = copy.deepcopy(field)
    second = optimizer_of(other.parameters())
    trial = optimizer_of([torch.nn.Parameter(p.detach().clone()) for p in other.parameters()])
    restore_optimizer(second, None, trial, taken, copy.deepcopy(first.state_dict()))
    for _ in range(3):
        step(field, first)
        step(other, second)
    for one, two in zip(field.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_first_steps_of_adam_are_those_of_the_inner_loop():
    """Where rates were learned for Adam's direction; Adam goes on with its moments and K steps behind it."""
    learned = LearnedStart(Siren(2, 2, width=6, depth=1, omega0=5.0), dims=2, steps=3, rate=0.02, adam=True).eval()
    field = copy.deepcopy(learned.base)
    optimizer = Learned(field.parameters(), learned.rates(), lr=0.01, adam=True)
    seen = torch.ones(1, len(X), dtype=torch.bool)
    observation = Observation(torch.zeros(1).long(), torch.zeros(1).long(), X, VALUES[None], seen, (4, 5))
    for k in range(1, 4):
        step(field, optimizer)
        for name, expected in learned.adapt(observation, k).parameters.items():
            assert distance(field.get_parameter(name).detach(), expected[0].detach()) < 1e-12
    moments = copy.deepcopy([optimizer.state[p]["exp_avg"] for p in field.parameters()])
    step(field, optimizer)
    for p, before in zip(field.parameters(), moments, strict=True):
        assert optimizer.state[p]["step"] == 4
        torch.testing.assert_close(optimizer.state[p]["exp_avg"], before.lerp(p.grad, 0.1))


def test_without_first_steps_it_is_adam():
    learned = start()
    ours, theirs = copy.deepcopy(learned.base), copy.deepcopy(learned.base)
    optimizer = Learned(ours.parameters(), learned.rates(), inner=0, lr=0.01)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.9, 0.99))
    for _ in range(3):
        step(ours, optimizer)
        adam.zero_grad()
        (theirs(X) - VALUES).square().mean().backward()
        adam.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_it_is_not_for():
    learned = start()
    optimizer = Learned(learned.base.parameters(), learned.rates())
    with pytest.raises(UserError, match="no such term"):
        optimizer.check(learned.base, Loss({"gradient": Gradient()}), 1)
    with pytest.raises(UserError, match=r"layers\.0\.weight of shape \(6, 2\), and the field has \(7, 2\)"):
        optimizer.check(Siren(2, 2, width=7, depth=1), LOSS, 1)
    with pytest.raises(UserError, match="one process"):
        optimizer.check(learned.base, LOSS, 2)
    with pytest.raises(UserError, match=r"give field\.init"):
        Learned(learned.base.parameters())
