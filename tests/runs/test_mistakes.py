"""Mistakes and odd settings end in one line or work: what is left out, numbers as names, NumPy, encodings, folders."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONF, ROOT, SMALL
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf
from PIL import Image as Pillow
from processes import run

import sinefield
from sinefield import Siren, render
from sinefield.activations.finer import Finer
from sinefield.activations.sine import Sine
from sinefield.encodings.fourier import Fourier
from sinefield.errors import UserError, integer, positive
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.losses.weak import Circles
from sinefield.report import dashboard, effect
from sinefield.runs import command as commands
from sinefield.runs import resume_or_repeat
from sinefield.runs.train import train
from sinefield.signals.analytic import Analytic
from sinefield.signals.image import Image
from sinefield.signals.merging.rules import Mean
from sinefield.system.script import accept_any_character
from sinefield.tracking.sync import sync
from sinefield.training.data import SignalData

ENCODINGS = [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    from hydra import compose, initialize_config_dir

    folder = tmp_path_factory.mktemp("sweep") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", SMALL), folder)
    return folder


@pytest.fixture
def interrupted(finished, tmp_path) -> Path:
    """A copy that has everything but its end."""
    folder = shutil.copytree(finished, tmp_path / "interrupted")
    (folder / "metrics.json").unlink()
    status = json.loads((folder / "status.json").read_text()) | {"state": "interrupted"}
    (folder / "status.json").write_text(json.dumps(status))
    return folder


def places(table: dict, above: tuple = ()):
    """The keys of nested tables, each behind those that lead to it."""
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def without(table: dict, place: tuple) -> dict:
    copy = json.loads(json.dumps(table))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    return copy


NONE = {"encoding", "scheduler", "logger", "callback", "chunk", "derived", "name", "experiment", "sweep"}


def refusal(work, *arguments) -> str | None:
    """The line that it is refused by; None where it works. Any other exception is a defect."""
    try:
        work(*arguments)
    except (UserError, CompactHydraException) as error:
        return str(error)
    return None


def test_whatever_is_left_out_of_the_configuration_is_none_or_named(compose, tmp_path) -> None:
    config = OmegaConf.to_container(compose(*SMALL))
    config |= {"experiment": None, "sweep": None}
    for place in places(config):
        if len(place) > 1 and place[-1] != "_target_":
            continue
        left = OmegaConf.create(without(config, place))
        OmegaConf.set_struct(left, True)  # as Hydra hands it over
        line = refusal(train, left, tmp_path / ".".join(place))
        if place[0] in NONE and len(place) == 1:
            assert line is None, (place, line)
        else:
            assert line is not None, place
            assert "\n" not in line
            assert any(key in line for key in place), (place, line)


COMPOSING = [["scheduler=null"], ["logger=3"], ["~name"], ["-m", "--cfg", "job"], ["~nosuch"]]


@pytest.mark.parametrize("arguments", COMPOSING, ids=str)
def test_what_hydra_refuses_is_a_mistake_and_no_defect(arguments, tmp_path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "defect" not in done.stderr


def test_a_folder_whose_configuration_lacks_a_key_is_read_or_refused_by_a_line(finished, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.to_container(OmegaConf.load(finished / "config.yaml"))
    folder = shutil.copytree(finished, tmp_path / "run")
    for place in places(config):
        OmegaConf.save(OmegaConf.create(without(config, place)), folder / "config.yaml")
        for reading in (sinefield.load, lambda its: render.at(its, [3, 3]), dashboard.build):
            line = refusal(reading, folder)
            assert line is None or (place[0] == "field" and "\n" not in line), (place, line)  # nothing else is needed


def test_a_run_whose_configuration_lacks_a_choice_is_resumed_or_refused(interrupted, tmp_path, capsys) -> None:
    config = OmegaConf.to_container(OmegaConf.load(interrupted / "config.yaml"))
    resumed = []
    for key in config:
        folder = shutil.copytree(interrupted, tmp_path / key)
        OmegaConf.save(OmegaConf.create(without(config, (key,))), folder / "config.yaml")
        line = refusal(resume_or_repeat.resume, folder)
        assert line is None or "\n" not in line
        resumed += [key] if line is None else []
    assert {"chunk", "callback", "logger", "name", "derived", "tuned", "encoding"} <= set(resumed)


def test_a_repetition_needs_no_name(finished, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(finished, tmp_path / "run")
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    OmegaConf.save(OmegaConf.create(without(config, ("name",))), folder / "config.yaml")
    resume_or_repeat.repeat(str(folder), None)
    assert "identical" in capsys.readouterr().out


@pytest.mark.parametrize("knobs", [["name=2024"], ["name=true"], ["logger.project=7"], ["logger.group=1.5"]], ids=str)
def test_a_number_is_a_name_for_wandb(knobs, fit) -> None:
    assert fit(*SMALL, "logger=wandb", *knobs)["steps"] == 2


@pytest.mark.parametrize(
    ("knob", "more"),
    [
        ("signal.path=2024", []),
        ("signal.path=2.5", []),
        ("signal.path=true", []),
        ("signal.paths=2024", ["signal=images"]),
        ("signal.paths=[2024,7]", ["signal=merge"]),
        ("signal.mask=2024", ["signal=merge"]),
        ("signal.path=2024", ["signal=stencil"]),
    ],
)
def test_a_picture_whose_name_is_a_number_says_how_to_quote_it(knob, more, fit) -> None:
    with pytest.raises(UserError, match=r"in quotes twice: \"signal\.paths?='"):
        fit(*SMALL, *more, knob)


def test_the_quotes_that_are_advised_are_right(tmp_path) -> None:
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(tmp_path / "2024", "PNG")
    done = run(*SMALL, "logger=none", "signal.path='2024'", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_may_be_text_or_a_path(kind, finished, compose, tmp_path, monkeypatch) -> None:
    place = kind(tmp_path / "run")
    train(compose(*SMALL, "logger=none"), place)
    assert sinefield.load(place)(torch.zeros(3, 2)).shape == (3, 1)
    assert dashboard.build(place, kind(tmp_path / "page.html")) == tmp_path / "page.html"
    assert dashboard.build([place, kind(finished)]).is_file()
    render.render(place, kind(tmp_path / "a.png"))
    render.zoom(place, kind(tmp_path / "b.png"))
    assert render.at(place, [1, 2]).value.shape == (1, 1)
    assert resume_or_repeat.compare(place, kind(finished))["identical"]
    effect.figure(effect.read(kind(tmp_path)), kind(tmp_path / "new" / "effect.png"))
    with pytest.raises(UserError, match="was logged by W&B"):
        list(sync([place]))
    with pytest.raises(CompactHydraException, match="is finished"):
        resume_or_repeat.resume(place)
    resume_or_repeat.repeat(place, kind(tmp_path / "again"))
    assert json.loads((tmp_path / "again" / "repeat.json").read_text())["identical"]


INTEGERS = [np.int64, np.int32, np.uint8, torch.tensor]
FLOATS = [np.float64, np.float32, np.int64]


@pytest.mark.parametrize("of", INTEGERS, ids=lambda of: of.__name__)
def test_an_integer_may_be_anyone_s(of) -> None:
    field = Siren(of(2), of(3), of(16), of(1))
    assert field(torch.zeros(5, 2)).shape == (5, 3)
    assert type(integer("a", of(7), least=1)) is int
    signal = Analytic(size=of(12))
    data = [
        SignalData(signal, Loss({"value": Value()}), n(24), seed=n(3), max_steps=n(9), eval_every=n(2))
        for n in (int, of)
    ]
    assert torch.equal(*(its.batch(2)[0].x for its in data))  # a seed means the same, whoever's number it is
    assert Image("skimage:camera", size=of(16), degree=of(5)).shape == (16, 16)
    assert len(Circles(count=of(4)).points(signal, torch.Generator(), 0.0)) == 4 * 9
    Fourier(of(2), of(8))
    with pytest.raises(UserError):
        integer("a", of(0), least=1)


@pytest.mark.parametrize("of", FLOATS, ids=lambda of: of.__name__)
def test_a_number_may_be_numpys(of) -> None:
    assert type(positive("a", of(30))) is float
    assert Siren(2, 3, 8, 1, of(30)).activation.omega0 == 30
    for make in (Sine, Finer, Value):
        make(of(2))
    Mean(of(1))
    with pytest.raises(UserError):
        positive("a", of(0))


@pytest.mark.parametrize("value", [np.True_, True, None, "3", 2.5, np.float64(2), np.array([1, 2])], ids=str)
def test_what_is_no_integer_is_none(value) -> None:
    with pytest.raises(UserError, match="must be a whole number"):
        integer("a", value, least=0)


@pytest.mark.parametrize("value", [np.True_, True, None, "3", np.nan, np.float32("inf"), 1j, np.array([1.0])], ids=str)
def test_what_is_no_number_is_none(value) -> None:
    with pytest.raises(UserError, match="must be a finite number"):
        positive("a", value)


@pytest.mark.usefixtures("float64")
def test_the_default_precision_of_the_caller_changes_nothing(finished, compose, tmp_path) -> None:
    torch.set_default_dtype(torch.float32)
    wanted = render.at(finished, [[3.5, 2.5]], "laplacian")
    render.render(finished, tmp_path / "wanted.npy", "gradient", 2)
    torch.set_default_dtype(torch.float64)
    train(compose(*SMALL), tmp_path / "run")
    assert torch.get_default_dtype() == torch.float64
    found = render.at(finished, [[3.5, 2.5]], "laplacian")
    assert all(torch.equal(a, b) for a, b in zip(found.parts, wanted.parts, strict=True))
    render.render(finished, tmp_path / "found.npy", "gradient", 2)
    assert (tmp_path / "found.npy").read_bytes() == (tmp_path / "wanted.npy").read_bytes()
    assert sinefield.load(finished)(torch.zeros(3, 2)).dtype == torch.float64  # a module as any other
    torch.set_default_dtype(torch.float32)
    assert resume_or_repeat.compare(finished, tmp_path / "run")["identical"]


@pytest.mark.parametrize(
    ("knobs", "pictures"),
    [
        (["signal.path=a.png"], ["a.png"]),
        (["signal=images", "signal.paths=[a.png,b.png]"], ["a.png", "b.png"]),
        (["signal=images", "signal.paths=."], ["a.png"]),
        (["signal=merge", "signal.paths=[a.png,b.png]", "signal.mask=a.png"], ["a.png", "b.png"]),
    ],
    ids=str,
)
def test_a_relative_picture_is_found_from_the_run_folder_too(knobs, pictures, tmp_path) -> None:
    for name in pictures:
        pixels = np.random.default_rng(len(name)).integers(0, 255, (40, 40), dtype=np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / name)
    done = run(*SMALL, *knobs, "logger=none", "hydra.job.chdir=true", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("script", "more"),
    [("train.py", ENCODINGS[0]), ("train.py", ENCODINGS[1]), ("scripts/render.py", ENCODINGS[1])],
    ids=str,
)
def test_help_is_printed_whatever_the_encoding(script, more, tmp_path) -> None:
    command = [sys.executable, str(ROOT / script), "--help"]
    done = subprocess.run(command, env=os.environ | more, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.parametrize("more", [[], ["resume=outputs/a", "trust=b"], ["signal=stencil", "debug=true"]], ids=str)
def test_help_explains_what_is_no_knob_of_conf(more, tmp_path) -> None:
    done = run(*more, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for option in ("resume=", "repeat=", "trust=", "debug=", "hydra.run.dir=", "trainer.max_steps="):
        lines = [line for line in done.stdout.splitlines() if option in line]
        assert any(not line.startswith("  python train.py") for line in lines), option  # explained
        assert any(line.startswith("  python train.py") or option == "debug=" for line in lines), option  # an example
    assert "signal: analytic, audio, collection" in done.stdout  # choices
    assert "max_steps: ${rounded:${times:${tuned.steps},${derived.effort}}}" in done.stdout  # knobs
    assert ("signals.stencil.Stencil" in done.stdout) == ("signal=stencil" in more)  # those of what is chosen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_results_are_printed_whatever_the_encoding(encoding, finished, tmp_path, monkeypatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding, write_through=True))
    accept_any_character()
    folder = shutil.copytree(finished, tmp_path / "Käse 二 \udcff")
    metrics = json.loads((folder / "metrics.json").read_text())
    commands.show(metrics, folder)
    print(render.render(folder, folder / "ω.npy", "laplacian"), render.unit("laplacian", "byte"))
    assert b"PSNR on samples" in output.getvalue()
    assert b"\\u4e8c \xff" in output.getvalue()  # a name that is no text is the bytes that it is made of


@pytest.mark.parametrize("kind", ["job", "all"])
def test_the_composed_configuration_is_shown_resolved(kind, tmp_path) -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), "--cfg", kind, "--resolve"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "steps: 750" in done.stdout
    assert not any(line.endswith("| torch") for line in done.stderr.splitlines())
