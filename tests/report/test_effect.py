"""Paired differences of a sweep, on run folders made up with known answers."""

import json

import numpy as np
import pytest
from made import sound
from PIL import Image

from sinefield.errors import UserError
from sinefield.report import effect


@pytest.fixture
def sweep(tmp_path):
    """Two losses, two pictures, two seeds, lengths 10 and 100.

    PSNR 20 + picture + seed / 2 + log10(steps); h1 gains 3 dB on picture a and 1 dB on b, in ten times the seconds.
    """
    number = 0
    for loss in ("value", "h1"):
        for p, picture in enumerate("ab"):
            for seed in (0, 1):
                for steps in (10, 100):
                    folder = tmp_path / "sweep" / str(number)
                    (folder / ".hydra").mkdir(parents=True)
                    chosen = {"seed": seed, "signal.path": f"skimage\\:{picture}", "loss": loss}
                    chosen |= {"data.continuous": False, "trainer.max_steps": steps, "signal.size": 64}
                    lines = [f"- {key}={value}" for key, value in chosen.items()]
                    (folder / ".hydra" / "overrides.yaml").write_text("\n".join(lines))
                    gain = (3 - 2 * p) * (loss == "h1")
                    metrics = {
                        "psnr_off_grid": 20 + p + seed / 2 + np.log10(steps) + gain,
                        "psnr_off_grid_spline": 22 + p,
                        "fit_seconds": steps * (10 if loss == "h1" else 1),
                        "steps": steps,
                    }
                    (folder / "metrics.json").write_text(json.dumps(metrics))
                    number += 1
    return tmp_path / "sweep"


def rows(text: str) -> dict[tuple[str, str], list[str]]:
    """The cells behind case and steps."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {(row[0], row[1]): row[2:] for row in cells}


def test_differences_are_paired_within_picture_and_seed(sweep):
    """+2 dB on average over the pictures, standard deviation sqrt(2); less the spline's 22.5 as the recipe says."""
    found = rows(effect.table(effect.read(sweep), "loss=value"))
    assert found["loss=h1", "10"][2] == "+2.00 ± 1.41"
    assert found["loss=value", "10"][2] == "+0.00 ± 0.00"
    assert found["loss=h1", "100"][4] == "+2.25 ± 1.41"
    assert found["loss=h1", "100"][5] == "0.35"


def test_equal_time_is_the_baselines_longer_run(sweep):
    """10 steps of h1 take 100 s, as 100 steps of the baseline, which gain 1 dB; 1000 s are more than it ever ran."""
    found = rows(effect.table(effect.read(sweep), "loss=value"))
    assert found["loss=h1", "10"][3] == "+1.00 ± 1.41"
    assert found["loss=h1", "100"][3] == "-"


def test_a_missing_run_is_no_silent_zero(sweep):
    """Where a baseline's run is not there, neither is the difference."""
    (sweep / "0" / "metrics.json").unlink()
    assert rows(effect.table(effect.read(sweep), "loss=value"))["loss=h1", "10"][2] == "-"


def test_mistakes_are_named(sweep, tmp_path):
    """An empty folder, a baseline that is not there, runs without a truth between the samples."""
    with pytest.raises(UserError, match="no finished runs"):
        effect.read(tmp_path / "none")
    with pytest.raises(UserError, match="choose the baseline from: loss=value; loss=h1"):
        effect.table(effect.read(sweep), "loss=x")
    path = sweep / "0" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"psnr_off_grid": None}))
    with pytest.raises(UserError, match=r"signal\.holdout=true"):
        effect.read(sweep)


def test_a_sound_among_them_is_named(sweep):
    """It has other scores, and was made whole: to run it again would not help."""
    sound(sweep / "sound", {"signal": "audio"}, mse=1e-3)
    with pytest.raises(UserError, match=r"sweep.sound has no PSNR between its samples.*signal\.holdout=true"):
        effect.read(sweep)


def test_the_figure_is_drawn(sweep, tmp_path):
    """A picture with every case's colour in it."""
    effect.figure(effect.read(sweep), tmp_path / "effect.png")
    with Image.open(tmp_path / "effect.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB")).reshape(-1, 3).astype(int)
    for colour in effect.COLOURS[:2]:
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - wanted).max(axis=1) < 70).sum() > 50


def test_a_deletion_is_a_case_of_its_own(sweep):
    """Of the runs of h1, wherever in the sweep they stand."""
    for number in range(8, 16):
        with (sweep / str(number) / ".hydra" / "overrides.yaml").open("a") as file:
            file.write("\n- ~scheduler")
    found = rows(effect.table(effect.read(sweep), "loss=value scheduler=-"))
    assert found["loss=h1 scheduler=null", "10"][2] == "+2.00 ± 1.41"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.json", "{", "metrics.json is no whole JSON"),
        ("metrics.json", "{}", "no steps in its metrics.json"),
        (".hydra/overrides.yaml", "- [", "overrides.yaml is no whole YAML"),
        (".hydra/overrides.yaml", "loss: value", "overrides.yaml holds no list"),
    ],
)
def test_a_run_that_cannot_be_read_is_one_line(sweep, name, content, said):
    """With the folder in it."""
    (sweep / "3" / name).write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        effect.read(sweep)
    assert str(sweep / "3") in str(caught.value)
    assert "\n" not in str(caught.value)
