"""A batch in microbatches: the same gradient whatever the microbatches and the threads."""

import sys
import threading
import warnings

import pytest
import torch
from discover import distance
from processes import fork

from sinefield.core.jet import Jet
from sinefield.fields.mlp import Siren
from sinefield.fields.stack import stack_fields
from sinefield.losses.base import Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.value import Value
from sinefield.losses.weak import Differences
from sinefield.training.data import Samples
from sinefield.training.microbatches import Microbatches, split_batch

pytestmark = pytest.mark.usefixtures("float64")

MEAN_SQUARES = {name: torch.tensor(1.5, dtype=torch.float64) for name in ("gradient", "weak", "deep")}
CPU = torch.device("cpu")


@pytest.fixture
def problem():
    """A field; a loss of two terms, of single points and of pairs; a batch of 100 and 60 points."""
    field, loss = Siren(2, 1, width=8, depth=1), Loss({"gradient": Gradient(2.0), "weak": Differences(count=30)})
    x = 2 * torch.rand(160, 2) - 1
    known = Jet(torch.randn(160, 1), torch.randn(160, 1, 2))
    batch = [Samples(x[:100], known.map(lambda t: t[:100])), Samples(x[100:], Jet(known.value[100:]))]
    return field, loss, batch


def direct(field, loss, batch) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradient at once, by autograd alone."""
    terms = [
        term.weight(0.0) * term(field.jet(samples.x, term.order), samples.known, samples.x).mean() / MEAN_SQUARES[name]
        for (name, term), samples in zip(loss.terms.items(), batch, strict=True)
    ]
    return sum(terms).item(), torch.autograd.grad(sum(terms), list(field.parameters()))


def in_pieces(field, loss, batch, points, threads) -> tuple[float, list[torch.Tensor]]:
    """The same by `Microbatches`."""
    microbatches, before = Microbatches(field, points), torch.get_num_threads()
    field.zero_grad()
    torch.set_num_threads(threads)
    try:
        with microbatches.thread_pool(CPU):
            assert (microbatches.pool is None) == (threads == 1)
            terms = microbatches.gradient(loss, batch, loss.weights(MEAN_SQUARES, 0.0))
    finally:
        torch.set_num_threads(before)
    return sum(terms.values()).item(), [parameter.grad.clone() for parameter in field.parameters()]


@pytest.mark.parametrize("points", [None, 1000, 16, 1])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_pieces_add_up(problem, points, threads):
    """Loss and gradient are those of the batch at once."""
    (total, gradients), (found, given) = direct(*problem), in_pieces(*problem, points, threads)
    assert found == pytest.approx(total, rel=1e-12)
    for gradient, other in zip(given, gradients, strict=True):
        assert distance(gradient, other) < 1e-12


def test_threads_give_the_same_bits_every_time(problem):
    """Microbatches are added in the order of the batch, not in the order they are done in."""
    (first, gradients), *others = (in_pieces(*problem, 16, 3) for _ in range(5))
    for total, again in others:
        assert total == first
        assert all(torch.equal(*pair) for pair in zip(gradients, again, strict=True))


def test_groups_stay_together(problem):
    """No pair is cut; shares are those of the points; all points are there, in order."""
    _, loss, batch = problem
    microbatches = split_batch(loss.groups, batch, points=7)
    assert {len(microbatch.x) for microbatch in microbatches if microbatch.group is loss.groups[1]} == {6}
    for group, samples in zip(loss.groups, batch, strict=True):
        own = [microbatch for microbatch in microbatches if microbatch.group is group]
        assert torch.equal(torch.cat([microbatch.x for microbatch in own]), samples.x)
        assert torch.equal(torch.cat([microbatch.known.value for microbatch in own]), samples.known.value)
        assert sum(microbatch.share for microbatch in own) == pytest.approx(1)
    halves = [samples._replace(share=0.5) for samples in batch]  # of two processes
    shares = [microbatch.share for microbatch in split_batch(loss.groups, halves, points=7)]
    assert sum(shares) == pytest.approx(0.5 * len(loss.groups))


def test_every_thread_has_a_piece(problem):
    """A batch that would be one microbatch is cut in as many as there are threads."""
    _, loss, batch = problem
    assert [len(microbatch.x) for microbatch in split_batch(loss.groups, batch, points=1000, least=3)] == [
        34,
        34,
        32,
        20,
        20,
        20,
    ]


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_values_are_the_fields(problem, threads, autocast, monkeypatch):
    """In the order of the points, without a graph; in the field's own precision whatever it is trained in."""
    monkeypatch.setattr("sinefield.core.autocast.MIN_PRODUCT", 0)  # so narrow a network would be left as it is
    field, _, batch = problem
    microbatches, before = Microbatches(field, points=9), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with microbatches.thread_pool(CPU), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = microbatches.values(batch[0].x)
    finally:
        torch.set_num_threads(before)
    assert not found.requires_grad
    assert distance(found, field(batch[0].x).detach()) < 1e-14


def test_threads_are_given_back():
    """After an error too, torch has the threads it had, and the error arrives."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        microbatches = Microbatches(Siren(2, 1, width=8, depth=1), points=4)
        batch = [Samples(torch.zeros(8, 2), Jet(torch.zeros(8, 1)))]
        with microbatches.thread_pool(CPU):
            assert torch.get_num_threads() == 1
        with pytest.raises(RuntimeError, match="on purpose"), microbatches.thread_pool(CPU):
            microbatches.gradient(Loss({"deep": _Broken()}), batch, MEAN_SQUARES)
        assert torch.get_num_threads() == 2
        assert microbatches.pool is None
    finally:
        torch.set_num_threads(before)


class _Broken(Value):
    def residual(self, field, known, x):
        raise RuntimeError("on purpose")


def test_threads_work_in_the_precision_of_the_caller(problem, monkeypatch):
    """Autocast belongs to a thread; the threads' gradient under it is that of one thread under it."""
    monkeypatch.setattr("sinefield.core.autocast.MIN_PRODUCT", 0)  # so narrow a network would be left as it is
    with torch.autocast("cpu", torch.bfloat16):
        (_, one), (_, two) = (in_pieces(*problem, 16, threads) for threads in (1, 2))
    _, full = in_pieces(*problem, 16, 2)
    assert max(distance(a, b) for a, b in zip(one, two, strict=True)) < 1e-12
    assert max(distance(a, b) for a, b in zip(two, full, strict=True)) > 1e-6


class _Watched(Value):
    """Notes the threads that it is computed in."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = set()

    def residual(self, field, known, x):
        self.threads.add(threading.current_thread())
        return super().residual(field, known, x)


def _in_anomaly_mode(fields: int) -> None:
    """Gradients of many microbatches on three threads; ends with 0 where all is done by one of them."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    field, term, x = Siren(2, 1, width=8, depth=1), _Watched(), 2 * torch.rand(400, 2) - 1
    mean_squares = {"value": torch.ones(fields) if fields else torch.ones(())}
    field = stack_fields([field] * fields) if fields else field
    microbatches, batch = Microbatches(field, 2), [Samples(x, Jet(torch.randn(400, max(fields, 1))))]
    with microbatches.thread_pool(CPU), torch.autograd.set_detect_anomaly(True):
        for _ in range(5):
            microbatches.gradient(Loss({"value": term}), batch, mean_squares)
    sys.exit(0 if term.threads == {threading.main_thread()} else 3)


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("fields", [0, 3])
def test_anomaly_mode_never_waits_for_ever(fields):
    """It belongs to the whole process, and torch makes its notes under a lock that other threads want."""
    process = fork(_in_anomaly_mode, fields)
    process.join(120)
    process.kill()
    process.join()
    assert process.exitcode == 0


def test_anomaly_mode_gives_the_same_gradient_and_says_where_a_nan_comes_from(problem):
    field, loss, batch = problem
    _, gradients = direct(field, loss, batch)
    with torch.autograd.set_detect_anomaly(True), warnings.catch_warnings(action="ignore"):
        _, given = in_pieces(*problem, 16, 2)
        assert all(distance(*pair) < 1e-12 for pair in zip(given, gradients, strict=True))
        with pytest.raises(RuntimeError, match="returned nan values"):
            in_pieces(field, Loss({"deep": _Root()}), [Samples(batch[0].x, Jet(field(batch[0].x).detach()))], 16, 2)


class _Root(Value):
    """Has no derivative at 0."""

    def residual(self, field, known, x):
        return ((field.value - known.value) * 0).sqrt().sum(-1, keepdim=True).sqrt()
