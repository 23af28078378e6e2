"""A run of algorithm=meta, and a later fit that starts from what it learned."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import pytest
import torch
from conftest import SMALL, learned_start

import sinefield
from sinefield.errors import UserError
from sinefield.runs.train import train

META = [part.replace("field.", "tuned.") for part in SMALL] + ["algorithm=meta", "data.batch_size=128", "logger=none"]
META += ["signal.together=4", "field.points=32", "evaluation.pictures=2", "evaluation.rates=[1e-2]"]
FIT = [*SMALL, "logger=none", "data.eval_every=1", "optimizer=learned", "optimizer.inner=3"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Path:
    """A finished run of three steps on scikit-image's faces."""
    return learned_start(tmp_path_factory.mktemp("learned") / "run", "trainer.max_steps=3", "data.eval_every=3")


def state(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_it_leaves_pictures_and_scores_after_each_number_of_steps(learned):
    rows = list(csv.reader((learned / "start.csv").read_text().splitlines()))
    assert rows[0] == ["start", "rate", "1", "3", "10", "30", "100"]
    assert [row[0] for row in rows[1:]] == ["learned", "standard"]
    assert (learned / "start.png").is_file()


def test_it_resumes_behind_the_learned_steps(learned, fit, compose):
    """After four steps, the last of which was Adam's."""
    knobs = [*FIT, "scheduler=constant", f"field.init={learned}"]
    whole = state(fit(*knobs, "trainer.max_steps=6", folder="whole")["folder"])
    half = fit(*knobs, "trainer.max_steps=4", folder="half")["folder"]
    train(compose(*knobs, "trainer.max_steps=6"), half, resume=True)
    assert all(torch.equal(whole[name], part) for name, part in state(half).items())


@pytest.mark.parametrize("knobs", [META, FIT], ids=["meta", "fit"])
def test_it_resumes_bit_for_bit(knobs, learned, fit, compose):
    """4 steps, and 2 with 2 more, whose second is still one at learned rates and whose last is Adam's."""
    knobs = [*knobs, "scheduler=constant", *([f"field.init={learned}"] if knobs is FIT else [])]
    whole = state(fit(*knobs, "trainer.max_steps=4", folder="whole")["folder"])
    half = fit(*knobs, "trainer.max_steps=2", folder="half")["folder"]
    train(compose(*knobs, "trainer.max_steps=4"), half, resume=True)
    assert whole.keys() == state(half).keys()
    assert all(torch.equal(whole[name], part) for name, part in state(half).items())


def test_it_resumes_when_the_start_is_gone(tmp_path, learned, fit, compose):
    """The rates are in the checkpoint: the folder of the start is deleted after the first of three learned steps."""
    whole = fit(*FIT, "scheduler=constant", f"field.init={learned}", "trainer.max_steps=4", folder="whole")["folder"]
    copied = tmp_path / "start"
    shutil.copytree(learned, copied)
    knobs = [*FIT, "scheduler=constant", f"field.init={copied}"]
    half = fit(*knobs, "trainer.max_steps=1", folder="half")["folder"]
    shutil.rmtree(copied)
    train(compose(*knobs, "trainer.max_steps=4"), half, resume=True)
    assert all(torch.equal(state(whole)[name], part) for name, part in state(half).items())


def test_rates_that_were_damaged_are_one_line(learned, fit, compose):
    knobs = [*FIT, "scheduler=constant", f"field.init={learned}"]
    half = fit(*knobs, "trainer.max_steps=1", folder="half")["folder"]
    file = half / "checkpoints" / "last.ckpt"
    found = torch.load(file, weights_only=True)
    found["found"]["learned"]["rates"]["head.bias"].fill_(math.nan)
    torch.save(found, file)
    with pytest.raises(UserError, match=r"last\.ckpt is not a whole checkpoint of this run \(its learned rates"):
        train(compose(*knobs, "trainer.max_steps=4"), half, resume=True)


def test_a_start_that_was_learned_with_adam(tmp_path, fit, caplog):
    """It has the same scores, and fits of either optimizer start from it, and a start of second order."""
    few = ["algorithm=reptile", "field.adam=true", "field.rate=1e-3", "field.steps=2", "data.eval_every=2"]
    folder = learned_start(tmp_path / "start", *few, "trainer.max_steps=2", "signal.crops=3", "data.batch_size=4")
    rows = list(csv.reader((folder / "start.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["start", "learned", "standard"]
    assert all(5 < float(score) < 120 for row in rows[1:] for score in row[2:])
    fit(*SMALL, "logger=none", f"field.init={folder}")
    fit(*FIT, f"field.init={folder}", folder="other")
    more = [f"field.init={folder}", "field.adam=true", "trainer.max_steps=2", "data.eval_every=2"]
    assert "not for these steps" not in caplog.text
    learned_start(tmp_path / "more", *more)  # its three steps are not the two of the other
    assert "not for these steps" in caplog.text


def test_a_fit_starts_from_it(learned, fit):
    """With rates next to nothing its weights stay those of the start."""
    done = fit(*SMALL, "optimizer.lr=1e-12", "scheduler=constant", "logger=none", f"field.init={learned}")["folder"]
    start = state(learned)
    for name, part in sinefield.load(done).state_dict().items():
        torch.testing.assert_close(part, start[f"field.base.{name}"])


def test_what_does_not_fit_is_one_line(learned, fit):
    for knobs, said in (
        (
            [f"field.init={learned}", "field.width=8"],
            r"field\.init=.*layers\.0\.weight is \(16, 384\) there and \(8, 384\)",
        ),
        (["field.init=null"], r"give field\.init"),
        (["optimizer.rates=nowhere"], "nowhere holds no finished run"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            fit(*FIT, *knobs)
        assert "\n" not in str(caught.value)


def test_rates_of_another_kind_of_run_are_refused(fit):
    plain = fit(*SMALL, "logger=none", folder="plain")["folder"]
    with pytest.raises(UserError, match="run of a CoordinateMLP"):
        fit(*FIT, f"field.init={plain}")
