"""SOAP against Adam, against a plain transcription of the paper with exact eigenvectors, and on a stretched bowl."""

import copy

import pytest
import torch
from discover import distance

from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.optimizers.soap import Soap

pytestmark = pytest.mark.usefixtures("float64")
X = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2)


def loss(field) -> torch.Tensor:
    return (field(X) - X.sum(1, keepdim=True).sin()).square().sum()


def stepped(field, optimizer, steps=3):
    for _ in range(steps):
        field.zero_grad()
        loss(field).backward()
        optimizer.step()
    return field


def matrix_and_bias(*shape):
    """A layer's parameters: a lone matrix would be a stack of vectors."""
    return torch.nn.Parameter(torch.randn(*shape)), torch.nn.Parameter(torch.randn(shape[-2]))


def test_where_no_side_is_turned_it_is_adam_one_step_later():
    """The first step only looks at the matrices; the biases have theirs."""
    ours = Siren(2, 1, 8, 2)
    theirs = copy.deepcopy(ours)
    gradients = [torch.randn_like(p) for p in ours.parameters()]
    soap = Soap(ours.parameters(), lr=1e-2, betas=(0.9, 0.99), largest=1)
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-2, betas=(0.9, 0.99))
    for step in range(5):
        for p, other, gradient in zip(ours.parameters(), theirs.parameters(), gradients, strict=True):
            p.grad = gradient * (step + 1)
            other.grad = gradient * (step + 1) if step or p.dim() == 1 else None
        soap.step()
        adam.step()
    for part, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert distance(part.detach(), other.detach()) < 1e-12


@pytest.mark.parametrize("shape", [(6, 4), (3, 7), (1, 5)])
def test_between_refreshments_it_is_adam_in_the_eigenbasis(shape):
    """Written out: eigenvectors of the first G G^T and G^T G by eigh, moments of the turned gradients, turned back."""
    p, bias = matrix_and_bias(*shape)
    start, gradients = p.detach().clone(), [torch.randn(shape) for _ in range(6)]
    soap = Soap([p, bias], lr=0.1, betas=(0.8, 0.9), every=1000)
    for gradient in gradients:
        p.grad, bias.grad = gradient.clone(), torch.zeros_like(bias)
        soap.step()
    left = torch.linalg.eigh(gradients[0] @ gradients[0].mT).eigenvectors
    right = torch.linalg.eigh(gradients[0].mT @ gradients[0]).eigenvectors
    rank = min(shape)  # eigenvectors of the value 0 are anyone's choice, and have been ours
    state = soap.state[p]
    for basis, exact in ((state.get("rows_basis"), left), (state["columns_basis"], right)):
        if basis is not None:
            inner = (basis.mT @ exact.flip(-1)).abs()[:rank, :rank]
            assert distance(inner, torch.eye(rank)) < 1e-8
    left, right = state.get("rows_basis", torch.ones(1, 1)), state["columns_basis"]
    mean, square, expected = torch.zeros(shape), torch.zeros(shape), start
    for t, gradient in enumerate(gradients[1:], 1):
        turned = left.mT @ gradient @ right
        mean, square = 0.8 * mean + 0.2 * turned, 0.9 * square + 0.1 * turned**2
        move = mean / (1 - 0.8**t) / ((square / (1 - 0.9**t)).sqrt() + 1e-8)
        expected = expected - 0.1 * left @ move @ right.mT
    assert distance(p.detach(), expected) < 1e-12
    assert torch.equal(p.grad, gradients[-1])


def test_refreshed_bases_become_the_eigenvectors_of_the_accumulated_covariance():
    """L and R are the written-out averages; of gradients with one lasting covariance, eigh finds the same bases."""
    p, bias = matrix_and_bias(5, 4)
    rows = torch.linalg.qr(torch.randn(5, 5)).Q * torch.tensor([5.0, 2.0, 1.0, 0.4, 0.1])
    columns = torch.linalg.qr(torch.randn(4, 4)).Q * torch.tensor([4.0, 1.5, 0.6, 0.2])
    soap, factors = Soap([p, bias], betas=(0.9, 0.998), every=2), None
    for _ in range(400):
        gradient = rows @ torch.randn(5, 4) @ columns.mT
        p.grad, bias.grad = gradient.clone(), torch.zeros_like(bias)
        soap.step()
        new = (gradient @ gradient.mT, gradient.mT @ gradient)
        factors = new if factors is None else tuple(0.998 * f + 0.002 * n for f, n in zip(factors, new, strict=True))
    for side, factor in zip(("rows", "columns"), factors, strict=True):
        assert distance(soap.state[p][f"{side}_factor"], factor) < 1e-12
        q = soap.state[p][f"{side}_basis"]
        assert distance(q.mT @ q, torch.eye(len(q))) < 1e-12
        exact = torch.linalg.eigh(factor).eigenvectors.flip(-1)
        assert distance((q.mT @ exact).abs(), torch.eye(len(q))) < 0.05


def test_the_moments_follow_when_the_bases_change():
    """The mean stays what it was as a matrix; second moments go where their directions go, here to the other end."""
    p, bias = matrix_and_bias(4, 3)
    soap, mean, square = Soap([p, bias], betas=(0.9, 0.9), every=1), torch.zeros(4, 3), torch.zeros(4, 3)
    for step in range(4):
        gradient = torch.randn(4, 3) * (1.0 if step < 3 else 1e-6)
        p.grad, bias.grad = gradient.clone(), torch.zeros_like(bias)
        state = soap.state[p]
        if step == 3:
            square = 0.9 * state["exp_avg_sq"] + 0.1 * soap._turn(p, gradient) ** 2
            for side in ("rows", "columns"):  # the same directions, the last one now the most important
                q = state[f"{side}_basis"]
                state[f"{side}_factor"] = q @ torch.arange(1.0, len(q) + 1).diag() @ q.mT
        soap.step()
        mean = 0.9 * mean + (0.1 * gradient if step else 0)
        assert distance(soap._turn(p, state["exp_avg"], back=True), mean) < 1e-12
    assert distance(state["exp_avg_sq"], square.flip(0, 1)) < 1e-12


def test_a_stretched_bowl_is_descended_sooner_than_by_adam():
    """|A (W - W*) B|^2 with A and B of condition 30 in directions of no axis: a twentieth of Adam's height is left."""
    a, b = (torch.linalg.qr(torch.randn(8, 8)).Q * torch.logspace(0, -1.5, 8) @ torch.linalg.qr(torch.randn(8, 8)).Q
            for _ in range(2))  # fmt: skip
    goal, heights = torch.randn(8, 8), {}
    for name, make in (("soap", Soap), ("adam", torch.optim.Adam)):
        for rate in (0.01, 0.03, 0.1):
            w, bias = torch.nn.Parameter(torch.zeros(8, 8)), torch.nn.Parameter(torch.zeros(8))
            optimizer = make([w, bias], lr=rate, betas=(0.9, 0.95))
            for step in range(300):
                optimizer.zero_grad()
                height = (a @ (w - goal) @ b).square().sum() + bias.square().sum()
                height.backward()
                for group in optimizer.param_groups:
                    group["lr"] = rate * (1 - step / 300)
                optimizer.step()
            heights[name] = min(heights.get(name, torch.inf), height.item())
    assert heights["soap"] < heights["adam"] / 20


def test_a_stack_is_stepped_field_by_field():
    """By gradients of full rank: eigenvectors of the value 0 are decided by rounding."""
    stack = [torch.nn.Parameter(torch.randn(3, 6, 6)), torch.nn.Parameter(torch.randn(3, 6))]
    single = [[torch.nn.Parameter(p.detach()[k].clone()) for p in stack] for k in range(3)]
    optimizers = [Soap(parameters, every=2) for parameters in (stack, *single)]
    for _ in range(7):
        for k, p in enumerate(stack):
            p.grad = torch.randn_like(p)
            for i, parameters in enumerate(single):
                parameters[k].grad = p.grad[i].clone()
        for optimizer in optimizers:
            optimizer.step()
    for i, parameters in enumerate(single):
        for part, other in zip(stack, parameters, strict=True):
            assert distance(part.detach()[i], other.detach()) < 1e-9


def test_a_state_goes_on_where_it_was():
    """Saved after three steps and loaded into another one, the next ones, with a refreshment, are the same."""
    first = Siren(2, 1, 8, 2)
    optimizer = Soap(first.parameters(), every=2)
    stepped(first, optimizer)
    second = copy.deepcopy(first)
    again = Soap(second.parameters(), every=2)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for part, other in zip(stepped(first, optimizer).parameters(), stepped(second, again).parameters(), strict=True):
        assert torch.equal(part, other)


@pytest.mark.parametrize(("knob", "value"), [("lr", 0.0), ("every", 0), ("largest", 0.5)])
def test_what_is_no_rate_or_count_is_refused(knob, value):
    with pytest.raises(UserError, match=rf"optimizer\.{knob} "):
        Soap(Siren(2, 1, 8, 2).parameters(), **{knob: value})


def test_a_first_gradient_that_is_not_finite_is_refused():
    p, bias = matrix_and_bias(3, 3)
    p.grad, bias.grad = torch.full((3, 3), torch.nan), torch.zeros(3)
    with pytest.raises(UserError, match="first gradient is not finite"):
        Soap([p, bias]).step()
