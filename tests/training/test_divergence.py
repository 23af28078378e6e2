"""A fit that has become senseless stops, says where and why, and leaves the last good state; memory is made to do."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from conftest import SMALL
from torch import nn

from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP
from sinefield.training.divergence import LAG, DivergenceGuard

LONG = [*SMALL, "logger=none", "trainer.max_steps=60", "data.eval_every=1", "scheduler=constant"]


def seen(losses, first=0) -> None:
    guard = DivergenceGuard()
    for step, loss in enumerate(losses, start=first):
        guard.update(step, torch.tensor(float(loss)))
    guard.check()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_named_with_its_step(bad) -> None:
    with pytest.raises(UserError, match=rf"^the loss became {bad} at step 3; try a lower optimizer\.lr"):
        seen([1, 2, 3, bad, 5])


def test_a_loss_explodes_by_the_rule_and_by_nothing_less() -> None:
    with pytest.raises(UserError, match=r"exploded to 1\.5e\+03 at step 10; "):
        seen([1] + [1500] * 10)
    seen([1] + [1500] * 9 + [1] + [1500] * 9)  # jumps that are taken back
    seen([1] + [999] * 100)
    seen([1e-6] + [900] * 100)  # what began below 1 is held to 1
    seen([100] + [99_000] * 100)  # what began high, as a Laplacian may, to that
    with pytest.raises(UserError, match="exploded"):
        seen([100] + [101_000] * 10)


def test_on_an_accelerator_a_look_is_rare_and_still_names_the_step() -> None:
    class Remote:
        """A scalar that counts how often it is fetched."""

        device = torch.device("cuda")

    guard, fetched = DivergenceGuard(), []
    guard.check = lambda: fetched.append(len(guard._unseen)) or guard._unseen.clear()
    for step in range(2 * LAG):
        guard.update(step, Remote())
    assert fetched == [LAG, LAG]
    late = DivergenceGuard()
    late._unseen = [(step, torch.tensor(math.nan if step == 7 else 1.0)) for step in range(20)]
    with pytest.raises(UserError, match="at step 7;"):
        late.check()


def test_the_advice_goes_by_the_precision_and_names_what_is_kept() -> None:
    guard = DivergenceGuard()
    assert "precision" not in guard.advice
    guard.precision, guard.kept = "16-mixed", 40
    assert "trainer.precision=32-true" in guard.advice
    assert "last.ckpt is of step 40" in guard.advice


@pytest.mark.parametrize("hit", ["weights", "loss", "field"])
def test_no_checkpoint_holds_what_is_not_finite(hit, fit, tmp_path, monkeypatch) -> None:
    """Weights may be lost while loss and prediction still look well: tanh of infinity is 1."""
    from sinefield.training.module import FieldModule

    step = FieldModule.training_step

    def spoilt(self, batch, index):
        step(self, batch, index)
        if self.trainer.global_step == 5:
            layer = self.field.head if hit == "field" else self.field.layers[0]
            with torch.no_grad():
                layer.bias.view(-1)[0] = math.inf if hit == "weights" else math.nan

    monkeypatch.setattr(FieldModule, "training_step", spoilt)
    often = {"weights": 1, "loss": 4, "field": 1}[hit]
    with pytest.raises(UserError, match=r"at step 5; try a lower .* is of step 4, before that"):
        fit(*LONG, "activation=tanh", f"data.eval_every={often}")
    for name in ("last", "best"):
        state = torch.load(tmp_path / "run" / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert all(tensor.isfinite().all() for tensor in state["state_dict"].values())
        assert state["global_step"] == 4 or name == "best"


def test_an_exploding_fit_stops(fit) -> None:
    with pytest.raises(UserError, match=r"the loss (exploded|became)"):
        fit(*LONG, "optimizer.lr=300", "activation=softplus", "data.eval_every=60")


@pytest.mark.parametrize(("precision", "warned"), [("bf16-mixed", 1), ("32-true", 0), ("64-true", 0)])
def test_half_precision_is_warned_of_once(precision, warned, fit, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        fit(*SMALL, "logger=none", f"trainer.precision={precision}")
    assert caplog.text.count("caps the fit near 38 to 40 dB") == warned


@pytest.fixture
def little(monkeypatch):
    """A device whose memory takes the jets of so many points at a time, and no more; lists what was asked for."""
    jet, asked = CoordinateMLP.jet, []

    def limit(points: int) -> list[int]:
        def tight(self, x, order, operators=None, parameters=None):
            if torch.is_grad_enabled():  # where everything is kept for the way back
                asked.append(len(x))
            if torch.is_grad_enabled() and len(x) > points:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")
            return jet(self, x, order, operators, parameters)

        monkeypatch.setattr(CoordinateMLP, "jet", tight)
        return asked

    return limit


MANY = [*SMALL, "logger=none", "signal.size=128", "signal.holdout=false", "trainer.precision=64-true"]
MANY += ["~loss.terms.between"]  # whose points are no part of a batch


def test_what_does_not_fit_is_done_in_smaller_pieces_to_the_same_result(fit, little) -> None:
    plain = fit(*MANY, "data.batch_size=8000", "chunk=4000", folder="plain")
    asked = little(2500)
    found = fit(*MANY, "data.batch_size=8000", folder="tight")
    assert found["loss"] == pytest.approx(plain["loss"], rel=1e-7)
    assert max(asked) > 2500
    assert max(asked[-8:]) <= 2500


def test_what_never_fits_names_the_knobs(fit, little, tmp_path) -> None:
    little(10)
    with pytest.raises(UserError, match=r"^out of memory \(CUDA out of memory\); chunk=.*data\.batch_size") as caught:
        fit(*MANY)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="out of memory"):  # a chunk that was chosen stays
        fit(*MANY, "chunk=5000", folder="chosen")


def test_an_automatic_batch_is_as_large_as_fits_and_stays_so(fit, little, tmp_path) -> None:
    def batch(folder: str) -> int:
        return torch.load(tmp_path / folder / "checkpoints" / "last.ckpt", weights_only=True)["found"]["batch_size"]

    fit(*MANY, "data.batch_size=auto", folder="ample")
    assert batch("ample") == 8192
    fit(*SMALL, "logger=none", "data.batch_size=auto", folder="small")
    assert batch("small") == 256  # all there are
    little(300)
    fit(*MANY, "data.batch_size=auto", folder="tight")
    assert batch("tight") == 256


def test_memory_that_the_machine_does_not_have_is_named(fit) -> None:
    with pytest.raises(UserError, match="out of memory"):
        fit(*SMALL, "logger=none", "data.continuous=true", "data.batch_size=1000000000000")


def test_weights_that_are_not_finite_are_not_kept() -> None:
    field = nn.Linear(1, 1)
    nn.init.constant_(field.weight, math.nan)
    with pytest.raises(UserError, match="weights are no longer finite at step 1;"):
        DivergenceGuard().allow_checkpoint(1, field)
