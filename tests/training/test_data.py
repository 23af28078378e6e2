"""Batches are functions of (seed, step), cover the samples, and carry the signal's own jets."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from sinefield.errors import UserError
from sinefield.losses.base import Loss
from sinefield.losses.constraints import Border, Mean
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.losses.weak import Circles
from sinefield.signals.analytic import Analytic
from sinefield.training.data import SignalData

VALUE = Loss({"value": Value()})


@pytest.fixture
def signal() -> Analytic:
    return Analytic(size=12)


def test_a_pass_over_the_samples_takes_each_once_and_the_next_in_another_order(signal) -> None:
    data = SignalData(signal, VALUE, batch_size=24)
    passes = [torch.cat([data.batch(step)[0].x for step in range(first, first + 6)]) for first in (0, 6)]
    grid = signal.grid()
    for points in passes:
        assert torch.equal(torch.unique(points, dim=0), torch.unique(grid, dim=0))
    assert not torch.equal(*passes)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_step_has_the_same_points_whatever_came_before(signal, continuous) -> None:
    """So a run that was interrupted goes on as if it had not been."""
    first, later = (SignalData(signal, VALUE, 24, continuous, seed=3) for _ in range(2))
    for step in range(20):
        first.batch(step)
    assert torch.equal(first.batch(17)[0].x, later.batch(17)[0].x)
    assert not torch.equal(later.batch(17)[0].x, later.batch(18)[0].x)
    assert not torch.equal(later.batch(17)[0].x, SignalData(signal, VALUE, 24, continuous, seed=4).batch(17)[0].x)


@pytest.mark.parametrize(("start", "steps"), [(0, [0, 1, 2, 3]), (4, [4, 5, 6, 7]), (5, [5, 6, 7]), (8, [8, 9])])
def test_an_epoch_ends_where_an_evaluation_is_due_or_the_run_ends(signal, start, steps) -> None:
    """Wherever it starts; the points are those of these steps."""
    data = SignalData(signal, VALUE, 24, eval_every=4, max_steps=10)
    data.trainer = SimpleNamespace(global_step=start, world_size=1)
    found = list(islice(data.train_dataloader(), 9))
    assert len(found) == len(steps)
    assert all(torch.equal(batch[0].x, data.batch(step)[0].x) for batch, step in zip(found, steps, strict=True))
    assert [step for step in range(1, 11) if data.due(step)] == [4, 8, 10]


def test_no_batch_size_is_the_whole_grid_in_order(signal) -> None:
    assert torch.equal(SignalData(signal, VALUE, None).batch(5)[0].x, signal.grid())


def test_every_group_of_terms_has_its_points_and_what_is_known_there(signal) -> None:
    loss = Loss({"laplacian": Laplacian(), "weak": Circles(count=5), "border": Border(count=7)})
    main, weak, border = SignalData(signal, loss, 24, continuous=True).batch(0)
    assert torch.equal(main.known.laplacian, signal.jet(main.x, 2).laplacian)
    assert weak.known.order == 0
    assert len(weak.x) == 5 * 9
    assert torch.equal(border.known.value, signal.jet(border.x, 0).value)
    assert (border.x.abs().amax(dim=1) == 1).all()


def test_terms_with_points_of_their_own_draw_different_ones(signal) -> None:
    _, one, other = SignalData(signal, Loss({"v": Value(), "a": Border(count=7), "b": Border(count=7)}), 24).batch(0)
    assert not torch.equal(one.x, other.x)


def test_processes_share_the_points_of_a_step(signal) -> None:
    """Whole groups, each in one process and counted by their number; what cannot be dealt out, all have in full."""
    loss = Loss({"v": Value(), "w": Circles(count=5), "m": Mean()})
    whole = SignalData(signal, loss, 25).batch(3)
    parts = []
    for rank in range(3):
        data = SignalData(signal, loss, 25)
        data.trainer = SimpleNamespace(world_size=3, global_rank=rank)
        parts.append(data.batch(3))
    for size, all_points, *own in zip((1, 9), whole, *parts, strict=False):
        assert [len(its.x) for its in own] == [size * -(-(len(all_points.x) // size - rank) // 3) for rank in range(3)]
        assert [its.share for its in own] == [len(its.x) / len(all_points.x) for its in own]
        dealt = torch.cat([its.x for its in own]).unflatten(0, (-1, size)).flatten(1)
        assert torch.equal(*(torch.unique(x, dim=0) for x in (dealt, all_points.x.unflatten(0, (-1, size)).flatten(1))))
    for *_, mean in parts:
        assert torch.equal(mean.x, whole[2].x)
        assert mean.share == 1 / 3


@pytest.mark.parametrize("batch_size", [24, None])
@pytest.mark.parametrize("processes", [1, 3])
def test_what_is_known_of_the_samples_is_what_the_signal_answers_there(
    signal, batch_size, processes, monkeypatch
) -> None:
    """Targets at samples are computed once, or for a large grid in every step: the same, in every process's share."""
    first, later = (SignalData(signal, Loss({"laplacian": Laplacian()}), batch_size) for _ in range(2))
    for data in (first, later):
        data.trainer = SimpleNamespace(world_size=processes, global_rank=processes - 1)
    known = [first.batch(step)[0] for step in range(3)]
    monkeypatch.setattr("sinefield.training.data._TABLED", 0)
    for step, samples in enumerate(known):
        other = later.batch(step)[0]
        assert torch.equal(samples.x, other.x)
        assert samples.share == other.share
        for part, computed in zip(samples.known.parts, signal.jet(samples.x, 2).parts, strict=True):
            torch.testing.assert_close(part, computed)


def test_of_a_very_large_grid_any_samples_are_drawn(monkeypatch) -> None:
    """Each as likely as any other, a function of seed and step; to take them all in every step is refused."""
    monkeypatch.setattr("sinefield.training.data._SHUFFLED", 100)
    signal = Analytic(size=12)
    first, later = (SignalData(signal, VALUE, 72) for _ in range(2))
    drawn = [first.batch(step)[0].x for step in range(400)]
    assert torch.equal(later.batch(399)[0].x, drawn[399])
    points, counts = torch.unique(torch.cat(drawn), dim=0, return_counts=True)
    assert torch.equal(points, torch.unique(signal.grid(), dim=0))
    # 144 counts of mean 200 and variance 200: chi squared of 143 degrees of unseen lies below 200 in all but 0.1 %
    assert ((counts - 200.0).square() / 200).sum() < 200
    with pytest.raises(UserError, match=r"data\.batch_size=null would take 144 samples"):
        SignalData(signal, VALUE, None)
