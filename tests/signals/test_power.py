"""What a loss's terms are divided by: of a picture its mean squares, of a blank one never rounding noise."""

import json
import math

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from sinefield.runs.train import train
from sinefield.signals.analytic import Analytic
from sinefield.signals.image import Image
from sinefield.signals.images import Images
from sinefield.signals.large import Large
from sinefield.signals.merge import Merge
from sinefield.signals.stencil import Stencil

WAVE = (math.pi / 2) ** 2  # half a wave over the box: what a derivative's mean square has more than the values'


def blank(path, level: int | float, mode: str = "L"):
    Picture.new(mode, (64, 48), level).save(path)
    return path


def signals(folder, level: int):
    """A blank picture in every signal that there is."""
    path = blank(folder / f"{level}.png", level)
    tifffile.imwrite(folder / "blank.tif", np.full((48, 64), level, np.uint8), metadata=None)
    yield Image(path, size=32)
    yield Image(path, size=None, holdout=False, degree=5)
    yield Image(blank(folder / "float.tif", level / 255, "F"), size=30)
    yield Stencil(path, size=32)
    yield Merge([path, path], size=32)
    yield Large(folder / "blank.tif")
    yield Images([path, "skimage:camera"], size=24).pictures[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0, 1, 77, 127, 128, 255])
def test_of_a_blank_picture_derivatives_are_relative_to_its_values(tmp_path, level, dtype):
    value = (2 * level / 255 - 1) ** 2
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        for signal in signals(tmp_path, level):
            power = [float(part) for part in signal.mean_squares(2).parts]
            assert power == pytest.approx([value, WAVE * value, WAVE**2 * value], rel=1e-3), type(signal)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("level", [32767, 32768, 1e-9, 0.0])
def test_of_all_greys_the_middle_one(tmp_path, level):
    """Values near 0, or at 0 but for rounding: three mean squares of one size, and 1 where there is nothing."""
    a = np.full((48, 64), 0.5 + level if level < 1 else level, np.float32 if level < 1 else np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", a, metadata=None)
    power = [float(part) for part in Image(tmp_path / "a.tif", size=32).mean_squares(2).parts]
    value = 1.0 if level < 1 else (1 / 65535) ** 2
    assert power == pytest.approx([value, WAVE * value, WAVE**2 * value], rel=1e-2)


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        ([], 1.0),
        ([(0.5, (0.0, 0.0), math.pi / 2)], 0.25),  # a constant, by a wave without a wavenumber
        ([(0.5, (1e-6, 0.0), math.pi / 2)], 0.25),
    ],
)
def test_of_a_constant_in_closed_form(waves, expected):
    power = Analytic(size=16, waves=waves, gaussians=[]).mean_squares(2)
    assert [float(part) for part in power.parts] == pytest.approx(
        [expected, WAVE * expected, WAVE**2 * expected], rel=1e-3
    )


def test_of_a_constant_gradient_the_laplacian_is_relative_to_it(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.linspace(0, 1, 65, dtype=np.float32) * np.ones((65, 1), np.float32))
    power = Image(tmp_path / "a.tif", size=None, holdout=False).mean_squares(2)
    assert float(power.second) == pytest.approx(WAVE * float(power.gradient))
    assert float(power.gradient) == pytest.approx(1.0, rel=1e-4)  # that of the ramp, 1/3 WAVE is less


@pytest.mark.parametrize("name", ["camera", "moon", "text", "astronaut", "color"])
def test_of_a_photograph_they_are_its_mean_squares(name):
    signal = Image(f"skimage:{name}", size=64)
    jet = signal.jet(signal.grid(), 2)
    for part, found in zip(jet.parts, signal.mean_squares(2).parts, strict=True):
        mean = np.square(part.double().numpy()).reshape(len(part), -1).sum(axis=1).mean()
        assert float(found) == pytest.approx(mean, rel=1e-5)


def training(steps: int) -> list[str]:
    return ["field.width=24", "field.depth=2", f"trainer.max_steps={steps}", f"data.eval_every={steps}", "logger=none"]


@pytest.mark.parametrize("level", [77, 128])
def test_values_are_fitted_beside_derivatives_that_are_nothing(tmp_path, compose, level):
    path = blank(tmp_path / "blank.png", level)
    metrics = train(compose(*training(200), "loss=h1", f"signal.path={path}", "signal.size=24"), tmp_path / "run")
    assert metrics["psnr"] > 40


@pytest.mark.slow
def test_a_blank_tile_among_others_is_fitted(tmp_path, compose):
    folder = tmp_path / "tiles"
    folder.mkdir()
    blank(folder / "blank.png", 77)
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    for name, a in (
        ("across", ramp[:48, None] + np.zeros(64)),
        ("wave", 128 + 100 * np.sin(ramp / 40) * np.ones((48, 1))),
    ):
        Picture.fromarray(a.astype(np.uint8)).save(folder / f"{name}.png")
    overrides = ["signal=images", f"signal.paths={folder}", "signal.size=24", "loss=h1"]
    train(compose(*training(200), *overrides), tmp_path / "run")
    for name, least in (("blank", 40), ("across", 25), ("wave", 20)):
        found = json.loads((tmp_path / "run" / "fields" / name / "metrics.json").read_text())
        assert found["psnr"] > least, name
