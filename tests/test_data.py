"""Batches are functions of (seed, step), cover the samples, and carry the signal's own jets."""

from __future__ import annotations

import pytest
import torch

from sinefield.data import SignalData
from sinefield.losses.anchors import Border
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.losses.weak import Circles
from sinefield.signals.analytic import Analytic


@pytest.fixture
def signal() -> Analytic:
    return Analytic(size=12)


def test_a_pass_over_the_samples_takes_each_once_and_the_next_in_another_order(signal) -> None:
    data = SignalData(signal, Value(), batch_size=24)
    passes = [torch.cat([data.batch(step)[0].x for step in range(first, first + 6)]) for first in (0, 6)]
    grid = signal.grid()
    for points in passes:
        assert torch.equal(torch.unique(points, dim=0), torch.unique(grid, dim=0))
    assert not torch.equal(*passes)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_step_has_the_same_points_whatever_came_before(signal, continuous) -> None:
    """So a run that was interrupted goes on as if it had not been."""
    first, later = (SignalData(signal, Value(), 24, continuous, seed=3) for _ in range(2))
    for step in range(20):
        first.batch(step)
    assert torch.equal(first.batch(17)[0].x, later.batch(17)[0].x)
    assert not torch.equal(later.batch(17)[0].x, later.batch(18)[0].x)
    assert not torch.equal(later.batch(17)[0].x, SignalData(signal, Value(), 24, continuous, seed=4).batch(17)[0].x)


def test_no_batch_size_is_the_whole_grid_in_order(signal) -> None:
    assert torch.equal(SignalData(signal, Value(), None).batch(5)[0].x, signal.grid())


def test_every_part_of_a_loss_has_its_points_and_targets(signal) -> None:
    loss = Laplacian(weak=Circles(count=5), anchor=Border(count=7))
    main, weak, border = SignalData(signal, loss, 24, continuous=True).batch(0)
    assert torch.equal(main.target.laplacian, signal.jet(main.x, 2).laplacian)
    assert weak.target.order == 0
    assert len(weak.x) == 5 * 9
    assert torch.equal(border.target.value, signal.jet(border.x, 0).value)
    assert (border.x.abs().amax(dim=1) == 1).all()
