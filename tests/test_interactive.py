"""`fit` from Python: what it answers is what its folder holds, and the process is afterwards what it was."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import threading

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.version import VersionBase
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sinefield
from sinefield.errors import UserError
from sinefield.interactive import Fitted
from sinefield.runs.overrides import override
from sinefield.signals.decoding.arrays import write_picture
from sinefield.signals.decoding.pixels import decode

SMALL = {"signal": {"size": 16}, "field": {"width": 16, "depth": 1}, "trainer": {"accelerator": "cpu"}, "steps": 2}


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Fitted:
    return sinefield.fit(folder=tmp_path_factory.mktemp("fitted") / "run", **SMALL)


def process() -> tuple:
    loggers = {n: x for n, x in logging.Logger.manager.loggerDict.items() if isinstance(x, logging.Logger)}
    return (
        os.getcwd(),
        dict(os.environ),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        {name: (logger.level, list(logger.handlers)) for name, logger in loggers.items()},
        (logging.root.level, list(logging.root.handlers)),
        random.getstate(),
        str(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        VersionBase.instance().version_base,
        GlobalHydra.instance().is_initialized(),
        sys.float_info.min / 2,
    )


@pytest.mark.usefixtures("fitted")  # after which all is imported
def test_twice_in_one_process_with_relative_paths_and_nothing_is_left_behind(at) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(at / "cat.png")
    before = process()
    runs = [sinefield.fit("cat.png", "seed=3", loss="gradient", **SMALL) for _ in range(2)]
    assert process() == before
    assert len({run.folder for run in runs}) == 2
    x = torch.rand(5, 2)
    assert torch.equal(runs[0](x), runs[1](x))
    for run in runs:
        assert run.folder.parent == at / "outputs" / "fit"
        assert (run.folder / ".hydra" / "overrides.yaml").read_text().splitlines()[-1] == "- seed=3"
        config = (run.folder / "config.yaml").read_text()
        assert "losses.gradient.Gradient" in config
        assert "path: cat.png" in config


def test_it_is_the_run_that_the_program_makes(fit, fitted) -> None:
    knobs = ["signal.size=16", "field.width=16", "field.depth=1", "trainer.accelerator=cpu", "trainer.max_steps=2"]
    metrics = fit(*knobs)
    assert {key: metrics[key] for key in ("psnr", "loss")} == {key: fitted.metrics[key] for key in ("psnr", "loss")}


def test_the_field_is_asked_drawn_and_saved(fitted, tmp_path) -> None:
    x = torch.rand(5, 2)
    field = sinefield.load(fitted.folder)
    assert torch.equal(fitted(x), field(x))
    for mine, its in zip(fitted.jet(x).parts, field.jet(x, 2).parts, strict=True):
        assert torch.equal(mine, its)
    positions = [[3.5, 2.5]]
    y = 2 * torch.tensor(positions) / 15 - 1
    assert torch.allclose(fitted.at(positions).value, (fitted(y) + 1) / 2, atol=1e-6)
    with Image.open(fitted.render(tmp_path / "x4.png", scale=4)) as drawn:
        assert drawn.size == (64, 64)
    saved = fitted.save(tmp_path / "saved")
    assert torch.equal(sinefield.load(saved)(x), field(x))
    program = torch.export.load(fitted.save(tmp_path / "field.pt2")).module()
    assert torch.allclose(program(x)[0], field(x), atol=1e-5)
    with pytest.raises(UserError, match="there already"):
        fitted.save(saved)
    assert "PSNR on samples" in repr(fitted)
    assert fitted._repr_png_() == (fitted.folder / "contact_sheet.png").read_bytes()


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(0).integers(0, 256, (9, 8), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 65536, (9, 8, 3), dtype=np.uint16),
        np.random.default_rng(0).random((9, 8, 1)),
        torch.rand(9, 8, 3),
    ],
    ids=lambda pixels: f"{pixels.dtype}{tuple(pixels.shape)}",
)
def test_an_array_is_the_picture_that_is_fitted(pixels, tmp_path) -> None:
    array = np.asarray(pixels)
    white = 1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    known = decode(write_picture(pixels, tmp_path / "new" / "input"))
    np.testing.assert_allclose(known, array.reshape(known.shape) / white, atol=1e-7)


def test_an_array_is_kept_with_its_run(at) -> None:
    pixels = np.random.default_rng(0).random((20, 30))
    run = sinefield.fit(pixels, folder="mine", **SMALL)
    np.testing.assert_allclose(decode(run.folder / "input.tif")[..., 0], pixels, atol=1e-7)
    assert f"path: {run.folder / 'input.tif'}" in (run.folder / "config.yaml").read_text()


MISTAKES = [
    (["nothing.png"], {}, "does not exist"),
    ([], {"loss": "gradien"}, "there is no loss/gradien; choose from: arrivals"),
    ([], {"field": {"widht": 3}}, "there is no field.widht; choose from"),
    ([], {"field": {"width": 0}}, "field.width must be"),
    ([], {"seed": object()}, "seed must be a text"),
    ([], {"steps": 0}, "steps must be"),
    ([None, "loss=value,gradient"], {}, "Ambiguous"),
    ([None, "hydra.run.dir=x"], {}, "folder="),
    ([None, "resume=x"], {}, "there is no resume"),
    ([np.zeros((4, 4, 2))], {}, "shape"),
    ([np.full((4, 4), 2.0)], {}, "from 0, black, to 1"),
    ([np.zeros((4, 4), dtype=complex)], {}, "complex"),
]


@pytest.mark.parametrize(("arguments", "knobs", "message"), MISTAKES, ids=[message for *_, message in MISTAKES])
@pytest.mark.usefixtures("at")
def test_a_mistake_is_a_user_error_of_one_line(arguments, knobs, message) -> None:
    before = process()
    with pytest.raises(UserError, match=message) as caught:
        sinefield.fit(*arguments, **knobs)
    assert "\n" not in str(caught.value)
    assert process() == before


def test_a_finished_run_is_left_alone(fitted) -> None:
    before = {path: path.read_bytes() for path in fitted.folder.rglob("*") if path.is_file()}
    for source in (None, np.zeros((20, 20))):
        with pytest.raises(UserError, match="holds a finished run"):
            sinefield.fit(source, folder=fitted.folder, **SMALL)
    assert {path: path.read_bytes() for path in fitted.folder.rglob("*") if path.is_file()} == before


def test_ctrl_c_is_a_keyboard_interrupt_and_leaves_a_checkpoint(at) -> None:
    def press() -> None:
        while not (at / "run" / "history.csv").exists():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    before = process()
    with pytest.raises(KeyboardInterrupt, match="resume="):
        sinefield.fit(None, "data.eval_every=2", folder="run", **{**SMALL, "steps": 20000})
    thread.join()
    assert process() == before
    assert (at / "run" / "checkpoints" / "last.ckpt").is_file()
    assert json.loads((at / "run" / "status.json").read_text())["state"] == "interrupted"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_subnormal=False) | st.text()


@given(SCALARS | st.lists(SCALARS, max_size=3))
def test_hydra_reads_an_override_as_the_value_it_was(value) -> None:
    read = OverridesParser.create().parse_override(override("knob", value)).value()
    assert read == value
    assert type(read) is type(value)
