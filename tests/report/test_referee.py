"""The referee's table, ranks and figure, of runs whose answers are known."""

import numpy as np
import pytest
from PIL import Image

from sinefield.errors import UserError
from sinefield.report import referee
from sinefield.report.effect import Run


def made(scores: dict[str, list[float]], seeds: int = 1) -> list[Run]:
    """Runs of methods whose dB between on each picture is given, seed s adding s; the spline has 20 everywhere."""
    return [
        Run(f"experiment=method/{name}", f"p{i}", str(seed), 10, 1.0, value + seed, 20.0, value + 10, 1234)
        for name, values in scores.items()
        for i, value in enumerate(values)
        for seed in range(seeds)
    ]


def test_intervals_are_students_over_pictures_not_over_seeds():
    """Means 21, 23, 25: 23 ± 4.303 * 2 / sqrt(3) = 4.97, however many seeds there are."""
    for seeds, mean in ((1, 23.0), (3, 24.0)):
        row = referee.table(made({"a": [21.0, 23.0, 25.0], "b": [0.0, 0.0, 0.0]}, seeds)).splitlines()[2]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[:4] == [
            "a",
            f"{mean + 10 - (seeds - 1) / 2:.2f} ± 4.97",
            f"{mean:.2f} ± 4.97",
            f"{mean - 20:+.2f} ± 4.97",
        ]
        assert cells[4:] == ["-" if seeds == 1 else "1.00", "1.0", "1.0", "10", "1,234", str(3 * seeds)]


def test_ranks_and_critical_difference_are_demsars():
    """His example of CD: 4 classifiers, 14 data sets, q = 2.569: 1.25; ties share a rank."""
    runs = made({name: [30.0 - i] * 14 for i, name in enumerate("abcd")})
    found = referee.ranks(runs)
    assert list(found.mean.values()) == [1, 2, 3, 4]
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert found.p < 1e-6
    tied = referee.ranks(made({"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [0.0, 1.0]}))
    assert list(tied.mean.values()) == [1.75, 1.25, 3]


def test_a_picture_that_one_method_has_not_finished_is_not_ranked():
    """It is said which ones are."""
    runs = made({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, 2.0]})[:-1]
    assert referee.ranks(runs).pictures == ["p0", "p1"]
    assert "2 pictures (p0, p1)" in referee.table(runs)


def test_runs_of_several_lengths_are_not_mixed():
    """They are compared with a baseline."""
    runs = made({"a": [1.0], "b": [2.0]})
    with pytest.raises(UserError, match="a has runs of 10 and 20 steps; compare with baseline="):
        referee.ranks([*runs, runs[0]._replace(steps=20)])


def test_tuned_is_chosen_on_one_picture_and_judged_on_the_others():
    """The rate that is better on p0 stays, although the other one is better on p1."""
    runs = [
        Run(f"experiment=method/a tuned.lr_factor={rate}", picture, "0", 10, 1.0, psnr, 20.0)
        for rate, psnrs in ((1, (25.0, 20.0)), (3, (24.0, 30.0)))
        for picture, psnr in zip(("p0", "p1"), psnrs, strict=True)
    ]
    (kept,) = referee.tuned(runs, "p0")
    assert (kept.case, kept.picture) == ("experiment=method/a tuned.lr_factor=1", "p1")
    with pytest.raises(UserError, match="tuned_on=x must be one of several: p0, p1"):
        referee.tuned(runs, "x")


def test_the_figure_has_bars_over_what_is_not_told_apart(tmp_path):
    """None where all are 14 times in one order and far apart; with ranks needed for any figure."""
    for names, bars in (("ab", False), ("abcd", True)):
        referee.figure(made({name: [30.0 - i] * 14 for i, name in enumerate(names)}), tmp_path / "x.png")
        pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).reshape(-1, 3).astype(int)
        assert (((np.abs(pixels - [0, 114, 178]).max(axis=1)) < 20).sum() > 100) == bars
    with pytest.raises(UserError, match="two methods or more"):
        referee.figure(made({"a": [1.0]}), tmp_path / "y.png")
