"""K networks as one: jets and gradients are those of each network alone, whatever it is made of and fitted to."""

import pytest
import torch
from discover import build, concrete, described, distance, pairs

from sinefield.activations.base import Activation
from sinefield.activations.sine import Sine
from sinefield.fields.mlp import CoordinateMLP, Siren
from sinefield.fields.stack import select_fields, stack_fields
from sinefield.losses.base import Equation, Loss, Term
from sinefield.signals.analytic import Analytic
from sinefield.training.data import Samples
from sinefield.training.microbatches import Microbatches

pytestmark = pytest.mark.usefixtures("float64")

K = 3


def fields(channels: int = 3, **parts) -> list[CoordinateMLP]:
    """K networks with weights and features of their own."""
    return [CoordinateMLP(2, channels, 8, 1, **{name: make() for name, make in parts.items()}) for _ in range(K)]


def points(n: int) -> torch.Tensor:
    return 2 * torch.rand(n, 2) - 1


def flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


@pytest.mark.parametrize(("cls", "encoding"), pairs())
@pytest.mark.parametrize(("order", "channels"), [(0, 3), (1, 1), (1, 3), (2, 3)])
def test_a_jet_is_that_of_every_field(cls, encoding, order, channels):
    """(K, N, C), (K, N, C, D), (K, N, C); and so are the derivatives by the weights."""
    node = described("encoding")[encoding]
    single = fields(channels, activation=cls, encoding=lambda: build(node, dims=2, channels=channels, samples=64))
    stack, x = stack_fields(single), points(5)
    jet = stack.jet(x, order)
    weights = [torch.randn_like(part) for part in jet if part is not None]
    sum((part * weight).sum() for part, weight in zip(jet, weights, strict=False)).backward()
    for k, field in enumerate(single):
        own = field.jet(x, order)
        for part, other in zip(jet, own, strict=True):
            assert distance(None if part is None else part[k], other) < 1e-12
        sum((part * weight[k]).sum() for part, weight in zip(own, weights, strict=False)).backward()
        for parameter, its in zip(stack.parameters(), field.parameters(), strict=True):
            if its.grad is None:  # the head's bias, of derivatives alone
                assert parameter.grad is None
            else:
                assert distance(parameter.grad[k], its.grad) < 1e-10


@pytest.mark.parametrize("which", [1, slice(1, 3)])
def test_what_is_taken_is_trained_with_the_stack(which):
    """Its weights and gradients are views: a step on either is a step on both."""
    stack = stack_fields([Siren(2, 1, width=8, depth=1) for _ in range(K)])
    for parameter in stack.parameters():
        parameter.grad = torch.zeros_like(parameter)
    part, x = select_fields(stack, which), points(5)
    part(x).sum().backward()
    torch.optim.SGD(stack.parameters(), lr=0.1).step()
    assert distance(part(x), stack(x)[which]) < 1e-14
    for parameter in stack.parameters():
        assert parameter.grad[which].any()
        assert not parameter.grad[0].any()


@pytest.mark.parametrize("batch", [(7,), (2, 3), ()])
def test_points_of_any_shape(batch):
    """(.., D) to (K, .., C)."""
    single = [Siren(2, 3, width=8, depth=1) for _ in range(K)]
    x = torch.rand(*batch, 2)
    found = stack_fields(single)(x)
    assert found.shape == (K, *batch, 3)
    assert distance(found, torch.stack([field(x) for field in single])) < 1e-14


def test_a_stack_keeps_its_own_weights():
    """Those it was made of stay as they are."""
    single = Siren(2, 1, width=8, depth=1)
    stack, x = stack_fields([single] * K), points(5)
    before = single(x)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.mul_(2)
    assert torch.equal(single(x), before)
    assert not torch.allclose(stack(x)[0], before)


def test_a_loaded_state_is_every_field():
    single = fields(activation=concrete(Activation)[0])
    stack = stack_fields(single)
    other = stack_fields([fields(activation=concrete(Activation)[0])[0]] * K)
    other.load_state_dict(stack.state_dict())
    x = points(5)
    assert torch.equal(other(x), stack(x))


@pytest.mark.parametrize("cls", [cls for cls in concrete(Term) if not issubclass(cls, Equation)])
@pytest.mark.parametrize("together", [1, 2, K])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_loss_is_that_of_every_field(cls, together, threads, monkeypatch):
    """Each against its own channels and power: terms (K,), gradients, values; for all, some or one field at a time."""
    size, width = 600, 8
    monkeypatch.setattr("sinefield.training.microbatches._SHARED", together * size * width)
    loss, signal = Loss({"term": cls(2.0)}), Analytic(size=12, channels=2 * K)
    single = fields(channels=2, activation=Sine)
    stack = stack_fields(single)
    mean_squares, term = {"term": torch.rand(K) + 1}, loss.terms["term"]
    x = term.points(signal, torch.Generator().manual_seed(0), 0.0)
    x = points(1200) if x is None else x
    batch = [Samples(x, term.known(signal, x))]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (microbatches := Microbatches(stack, size)).thread_pool(torch.device("cpu")):
            terms, values = (
                microbatches.gradient(loss, batch, loss.weights(mean_squares, 0.0)),
                microbatches.values(batch[0].x),
            )
    finally:
        torch.set_num_threads(before)
    for k, field in enumerate(single):
        own = [samples._replace(known=samples.known.map(lambda t: t[:, 2 * k : 2 * k + 2])) for samples in batch]  # noqa: B023
        expected = Microbatches(field).gradient(loss, own, loss.weights({"term": mean_squares["term"][k]}, 0.0))
        assert terms.keys() == expected.keys()
        for name, term in terms.items():
            assert term.shape == (K,)
            assert distance(term[k], expected[name]) < 1e-12
        own_gradient = [torch.zeros_like(p) if p.grad is None else p.grad for p in field.parameters()]
        assert distance(flat([p.grad[k] for p in stack.parameters()]), flat(own_gradient)) < 1e-12
        assert distance(values[k], field(batch[0].x).detach()) < 1e-12
