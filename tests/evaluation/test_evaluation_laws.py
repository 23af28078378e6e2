"""What holds for every evaluation, found in the package: scores under the names shown, a monitor that always is."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from discover import concrete, targets

from sinefield.evaluation.base import Evaluation, Score, mean
from sinefield.evaluation.picture import Picture
from sinefield.evaluation.sound import Sound
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.report.runs import find
from sinefield.report.scores import scores
from sinefield.signals.audio import Audio
from sinefield.signals.image import Image


def test_conf_has_a_file_for_each():
    assert set(concrete(Evaluation)) == targets("evaluation")


@pytest.mark.parametrize("cls", concrete(Evaluation))
def test_what_is_shown_has_names_of_its_own(cls):
    """No key twice, every direction known, and a monitor that says which way is better."""
    keys = [score.key for score in cls.shown]
    assert len(set(keys)) == len(keys)
    assert cls.shown[0].direction in ("max", "min")


@pytest.mark.parametrize("cls", concrete(Evaluation))
def test_the_dashboard_takes_its_scores(cls, tmp_path):
    """As metrics.json describes them; of a run that it does not understand it says that it is damaged."""
    shown = [asdict(score) for score in cls.shown]
    monitor = {"name": cls.shown[0].key, "direction": cls.shown[0].direction, "unit": cls.shown[0].unit}
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    values = {score.key: 1.0 for score in cls.shown}
    (tmp_path / "metrics.json").write_text(json.dumps({**values, "monitor": monitor, "shown": shown}))
    (run,) = find([tmp_path])
    present, judged = scores([run])
    assert not [problem for problem in run.problems if "scores" in problem]
    assert {score.key for score in cls.shown} <= {score.key for score in present}  # which adds differences
    assert judged[0] == cls.shown[0].key


@pytest.mark.parametrize(("direction", "expected"), [("max", True), ("min", False)])
def test_better_goes_by_the_direction(direction, expected):
    score = Score("a", "A", direction=direction)
    assert score.better(2.0, 1.0) is expected
    assert score.better(1.0, 2.0) is not expected
    assert not score.better(1.0, 1.0)


@pytest.mark.parametrize(
    ("score", "value", "text"),
    [
        (Score("a", "A", "dB"), 12.345, "12.35 dB"),
        (Score("a", "A", digits=4), 0.5, "0.5000"),
        (Score("a", "A", digits=-1), 1.25e-5, "1.250e-05"),
        (Score("a", "A", "dB"), None, "-"),
    ],
)
def test_text(score, value, text):
    assert score.text(value) == text


def test_mean_of_a_score_that_one_lacks_is_none():
    assert mean([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": None}]) == {"a": 2.0, "b": None}


class Halfway(Evaluation):
    """Mean absolute error at the middle of a signal in any number of dimensions; less is better."""

    shown = (Score("mae", "error", digits=-1, direction="min"),)

    def points(self):
        return [torch.zeros(3, self.signal.dims)]

    def scores(self, values):
        truth = self.signal.jet(torch.zeros(3, self.signal.dims), 0).value
        return {"mae": (values - truth).abs().mean().item()}

    def draw(self, folder, field, scores):
        (folder / "note.txt").write_text(str(scores["mae"]))
        return {"note": folder / "note.txt"}


def test_a_run_is_judged_by_whatever_its_evaluation_says(fit, monkeypatch):
    """Less is better: best.ckpt, metrics.json, history.csv and the results go by it, and nothing asks for a PSNR."""
    from conftest import SMALL

    from sinefield.runs.command import table

    found = fit(*SMALL, "evaluation._target_=test_evaluation_laws.Halfway", "data.eval_every=1", "trainer.max_steps=4")
    assert found["monitor"] == {"name": "mae", "direction": "min", "unit": ""}
    assert "psnr" not in found
    rows = (found["folder"] / "history.csv").read_text().splitlines()
    column = rows[0].split(",").index("mae")
    values = [float(row.split(",")[column]) for row in rows[1:]]
    assert found["best_mae"] == pytest.approx(min(values))
    best = torch.load(found["folder"] / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == 1 + values.index(min(values))
    assert (found["folder"] / "note.txt").read_text() == str(found["mae"])
    assert table(found).splitlines()[0].startswith("error ")
    assert math.isfinite(found["mae"])


@pytest.mark.parametrize(
    ("cls", "signal"),
    [(Picture, lambda: Image("skimage:camera", 16, holdout=False)), (Sound, lambda: Audio(seconds=0.01))],
)
def test_nothing_is_evaluated_for_references_where_nothing_is_held_out(cls, signal, monkeypatch):
    """A large picture's spline at all its pixels would take as long as the fit."""
    evaluation = cls(signal(), Loss({"value": Value()}))
    monkeypatch.setattr(evaluation.signal, "jet", None)
    assert set(evaluation.references().values()) == {None}
