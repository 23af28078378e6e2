"""Which numbers a page of runs has, what they are called, and by which of them runs are judged."""

from __future__ import annotations

from pathlib import Path

from made import PICTURE, SOUND

from sinefield.report.runs import RunFolder
from sinefield.report.scores import Score, numbers, scores


def finished(**metrics: object) -> RunFolder:
    return RunFolder(Path("x"), "finished", metrics=metrics)


def keys(*runs: RunFolder) -> list[str]:
    return [score.key for score in scores(runs)[0]]


def monitors(*runs: RunFolder) -> list[str]:
    return scores(runs)[1]


def test_what_runs_say_comes_first_then_the_known_then_all_other_numbers() -> None:
    picture = finished(psnr=30.0, psnr_off_grid=28.0, psnr_off_grid_spline=27.0, ssim=0.9, steps=10, **PICTURE)
    sound = finished(mse=1e-3, snr=20.0, loss=0.1, depth_error=3, seed=7, converged=True, **SOUND)
    assert keys(picture, sound) == [
        "psnr", "psnr_off_grid", "psnr_off_grid_spline", "ssim", "mse", "snr", "psnr_off_grid_gain",
        "loss", "steps", "depth_error",
    ]  # fmt: skip
    assert keys(sound, picture)[:2] == ["mse", "snr"]
    found = {score.key: score for score in scores([picture, sound])[0]}
    assert found["mse"] == Score("mse", "mean square error", "", -1, "min")
    assert found["psnr_off_grid_spline"].name == "of the spline"
    assert found["psnr_off_grid_gain"] == Score("psnr_off_grid_gain", "PSNR between, over the spline", "dB", 2, "max")
    assert found["depth_error"] == Score("depth_error", "depth error", "", None, "")
    assert found["loss"].direction == "min"


def test_the_first_to_describe_a_number_is_believed() -> None:
    other = {"key": "snr", "name": "another", "unit": "", "digits": 0, "direction": "min"}
    found, _ = scores([finished(snr=1.0, mse=1.0, **SOUND), finished(snr=2.0, shown=[other])])
    assert next(score for score in found if score.key == "snr") == Score("snr", "SNR", "dB", 1, "max")


def test_runs_of_older_versions_have_the_names_they_always_had() -> None:
    found, judged = scores([finished(psnr=30.0, psnr_off_grid=28.0, psnr_off_grid_spline=27.0, ssim=0.9)])
    assert [score.name for score in found][:4] == [
        "PSNR between", "PSNR on samples", "SSIM", "PSNR between, over the spline"
    ]  # fmt: skip
    assert judged == ["psnr_off_grid"]
    assert monitors(finished(psnr=30.0, psnr_off_grid=None)) == ["psnr"]


def test_any_score_is_compared_with_the_spline_beside_it() -> None:
    assert numbers({"mse": 2.0, "mse_spline": 5.0})["mse_gain"] == -3
    assert numbers({"mse": 2.0, "mse_spline": None, "snr_spline": 3.0}) == {"mse": 2.0, "snr_spline": 3.0}
    assert numbers({"a": 2.0, "a_spline": 5.0, "a_gain": 7.0})["a_gain"] == 7
    found = {score.key: score for score in scores([finished(mse=2.0, mse_spline=5.0, **SOUND)])[0]}
    assert (found["mse_gain"].direction, found["mse_spline"].direction) == ("min", "")


def test_the_most_common_monitor_is_the_first() -> None:
    picture, sound = finished(psnr_off_grid=28.0, **PICTURE), finished(mse=1e-3, snr=20.0, **SOUND)
    assert monitors(picture, sound, sound) == ["mse", "psnr_off_grid"]
    assert monitors(picture, sound) == ["psnr_off_grid", "mse"]
    assert monitors(finished(psnr=3.0), picture, sound, sound, sound) == ["mse", "psnr", "psnr_off_grid"]


def test_a_run_without_the_number_that_it_is_judged_by_is_judged_by_the_next() -> None:
    """A PSNR between the samples is null where nothing is held out; a run that goes on has described nothing yet."""
    assert monitors(finished(psnr=30.0, psnr_off_grid=None, **PICTURE)) == ["psnr"]
    going = RunFolder(Path("x"), "running", metrics={"steps": 5, "loss": 0.1, "mse": 0.2})
    assert monitors(going, finished(mse=1e-3, **SOUND)) == ["mse"]
    assert monitors(going) == ["loss"]


def test_a_monitor_that_is_not_among_those_shown_has_its_own_direction() -> None:
    found, judged = scores([finished(chamfer=0.1, monitor={"name": "chamfer", "direction": "min", "unit": "mm"})])
    assert judged == ["chamfer"]
    assert found == [Score("chamfer", "chamfer", "mm", None, "min")]


def test_runs_without_any_number_have_a_score_nevertheless() -> None:
    """The page needs one to be about."""
    found, judged = scores([RunFolder(Path("x"), "damaged")])
    assert [score.key for score in found] == judged == ["loss"]


def test_terms_of_the_loss_are_curves_alone() -> None:
    assert keys(RunFolder(Path("x"), "running", metrics={"loss": 1.0, "loss/value": 1.0})) == ["loss"]
