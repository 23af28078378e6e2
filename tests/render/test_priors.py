"""A finished run of many pictures at work, through its three commands."""

import numpy as np
import pytest
import torch
from conftest import CONF
from PIL import Image

from sinefield.errors import UserError
from sinefield.render.priors import Prior
from sinefield.scripts import complete, interpolate, sample

SIDE = 12
KNOBS = [
    *("signal=collection", f"signal.size={SIDE}", "signal.together=4", "encoder.code=6", "encoder.widths=[8]"),
    *("tuned.width=12", "tuned.depth=1", "field.hidden=8", "trainer.max_steps=20", "data.batch_size=256"),
    *("evaluation.pictures=2", "evaluation.steps=5", "trainer.accelerator=cpu", "logger=none"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twenty steps on twelve colour pictures of noise and shades."""
    from hydra import compose, initialize_config_dir

    from sinefield.runs.train import train

    home = tmp_path_factory.mktemp("prior")
    (home / "pictures").mkdir()
    for k in range(12):
        noise = np.random.default_rng(k).integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(home / "pictures" / f"{k}.png")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", [*KNOBS, f"signal.paths={home / 'pictures'}", f"signal.cache={home}"]), home / "run")
    return home / "run"


@pytest.fixture
def prior(run):
    return Prior(run)


@pytest.fixture
def picture(tmp_path):
    """A photograph's likeness that is in no collection: wide, and of another size."""
    noise = np.random.default_rng(99).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def pixels(path):
    return np.asarray(Image.open(path))


def test_the_nearest_training_picture_is_the_nearest(prior, monkeypatch):
    """Against all differences at once; pictures held out are nearer to some, and not asked."""
    monkeypatch.setattr("sinefield.render.priors._MANY", 4)
    drawn = torch.rand(9, SIDE**2, 3) * 2 - 1
    drawn[0] = prior.signal.pixels_of(torch.tensor([prior.signal.count - 1])).flatten(1, 2)  # one held out
    drawn[1] = prior.signal.pixels_of(torch.tensor([3])).flatten(1, 2)
    known = prior.signal.pixels_of(torch.arange(prior.signal.trained)).flatten(1, 2)
    expected = (drawn[:, None] - known[None]).square().sum((2, 3)).argmin(1)
    assert torch.equal(prior.nearest(drawn), expected)
    assert expected[1] == 3


def test_codes_are_drawn_with_the_moments_of_those_of_the_pictures(prior):
    """Mean and covariance of a Gaussian; a mixture of as many as there are pictures repeats their codes."""
    found = prior.samples(20000, seed=1).double()
    codes = prior.codes.double()
    covariance = torch.cov(codes.T, correction=0)
    tolerance = 0.05 * covariance.diagonal().max()
    assert (torch.cov(found.T) - covariance).abs().max() < tolerance
    assert (found.mean(0) - codes.mean(0)).abs().max() < tolerance.sqrt()
    near = torch.cdist(prior.samples(50, mixture=len(codes)).double(), codes).min(1).values
    assert near.max() < 0.05 * codes.std(0).norm()
    assert torch.equal(prior.samples(3, seed=5), prior.samples(3, seed=5))
    assert not torch.equal(prior.samples(3, seed=5), prior.samples(3, seed=6))


def test_a_picture_by_name_number_or_file(prior, picture):
    """A name before a number; a file as the collection has its own: the square in its middle."""
    prior.signal.names[2] = "7"
    assert [prior.number(said) for said in ("7", "2", "99", "x.png")] == [2, 2, None, None]
    assert torch.equal(prior.pixels("5"), prior.signal.pixels_of(torch.tensor([5])).flatten(1, 2)[0])
    square = Image.open(picture).crop((5, 0, 25, 20)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    found = prior.pixels(str(picture)).reshape(SIDE, SIDE, 3).numpy()
    assert np.abs((found + 1) * 127.5 - np.asarray(square)).mean() < 1  # of which Pillow rounds each pass


def test_the_folder_has_the_function_that_was_scored(prior, run):
    """psnr in metrics.json is that of the loaded run: nothing that was made at random is lost."""
    import json

    held = torch.arange(prior.signal.trained, prior.signal.count)[:1]
    seen = prior.signal.look(held, torch.zeros(1, dtype=torch.long))
    error = (prior.field.values(prior.field.codes([seen]), seen.x) - seen.values).square()
    metrics = json.loads((run / "metrics.json").read_text())
    assert 10 * torch.log10(4 / error.mean()).item() == pytest.approx(metrics["psnr"], abs=1e-3)
    assert metrics["mse_10_linear"] > 0
    assert metrics["mse_100_tuned"] > 0
    assert metrics["mse_1000"] is None  # of 144


def test_complete(run, picture, capsys):
    """Few pixels, all of them, and a mask; the sheet, and the picture at any resolution."""
    out = picture.parent / "done.png"
    complete.main([f"run={run}", f"picture={picture}", "keep=20", "scale=3", "tune=2", f"out={out}"])
    said = capsys.readouterr().out
    assert all(step in said for step in ("linear interpolation", "encoder", "code refined", "field tuned"))
    assert pixels(out).shape == (3 * SIDE - 2, 3 * SIDE - 2, 3)
    assert (run / "completion.png").is_file()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    Image.fromarray(mask).save(picture.parent / "mask.png")
    complete.main([f"run={run}", f"picture={picture}", f"mask={picture.parent / 'mask.png'}", "tune=600", "steps=2"])
    kept, known = pixels(run / "completed.png")[:, : SIDE // 2], Prior(run).pixels(str(picture))
    truth = (known.reshape(SIDE, SIDE, 3).numpy()[:, : SIDE // 2] + 1) * 127.5
    assert np.square(kept - truth).mean() < 0.2 * truth.var()  # noise, by a field of 12 waves


def test_sample(run, tmp_path, capsys):
    sample.main([f"run={run}", "count=5", "mixture=3", f"out={tmp_path / 'a.png'}"])
    assert "least 0." in capsys.readouterr().out
    sample.main([f"run={run}", "count=5", "mixture=3", f"out={tmp_path / 'b.png'}"])
    sample.main([f"run={run}", "count=5", "mixture=3", "seed=1", f"out={tmp_path / 'c.png'}"])
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))
    assert not np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "c.png"))


def test_interpolate(run, picture, prior, monkeypatch):
    """The ends are the two pictures' own codes, and the middle has the mean of them."""
    drawn = []
    monkeypatch.setattr(interpolate, "sheet", lambda rows, caption: drawn.extend(rows) or b"")
    interpolate.main([f"run={run}", f"pictures=2,{picture}", "steps=3", "scale=1"])
    a, b = prior.code("2"), prior.code(str(picture))
    assert [name for name, _ in drawn] == ["0.00", "0.50", "1.00"]
    for (_, values), code in zip(drawn, (a, (a + b) / 2, b), strict=True):
        assert np.abs(values[0] - prior.picture(code)).max() < 1e-5


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (complete, ["picture=x.png"], "give run="),
        (complete, ["keep=5"], "give picture="),
        (complete, ["picture=nowhere.png"], "nowhere.png"),
        (complete, ["picture=1", "keep=0"], "keep must be"),
        (complete, ["picture=1", "keep=few"], "keep must be"),
        (complete, ["picture=1", "out=a.gif"], ".png"),
        (sample, ["count=0"], "count must be"),
        (sample, ["spread=-1.0"], "spread must be"),
        (sample, ["mixture=0"], "mixture must be"),
        (interpolate, ["pictures=1"], "pictures takes two"),
        (interpolate, ["pictures=1,2", "steps=1"], "steps must be"),
        (interpolate, ["pictures=1,99999"], "99999"),
    ],
)
def test_mistakes_are_one_line(command, arguments, said, run):
    given = [] if "give run=" in said else [f"run={run}"]
    with pytest.raises(UserError, match=said) as caught:
        command.main([*given, *arguments])
    assert "\n" not in str(caught.value)


def test_a_run_of_another_kind_is_refused(fit):
    made = fit("signal.size=16", "field.width=16", "trainer.max_steps=2", "trainer.accelerator=cpu")
    with pytest.raises(UserError, match="field=hypernetwork or field=modulated"):
        Prior(made["folder"])
