"""A picture that changed under its name: it is said, wherever a run that has read it is gone on with."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import tifffile
from conftest import SMALL
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf
from PIL import Image

from sinefield.errors import UserError
from sinefield.runs import fingerprints, resume_or_repeat
from sinefield.runs.fingerprints import changed
from sinefield.runs.train import train
from sinefield.sweep.jobs import Job, conclude, table

CHANGES = {
    "resized": lambda file: Image.open(file).resize((50, 40)).save(file),
    "in colour": lambda file: Image.open(file).convert("RGB").save(file),
    "another pixel": lambda file: edited(file).save(file),
    "another picture of its size": lambda file: noise(1).save(file),
}


def noise(seed: int, shape=(48, 40)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def edited(file) -> Image.Image:
    image = Image.open(file)
    image.load()
    image.putpixel((3, 3), 255 - image.getpixel((3, 3)))
    return image


@pytest.fixture
def picture(tmp_path):
    noise(0).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def stopped(compose, tmp_path, stopped_at):
    """Begins a run that stops after step 4, with a checkpoint; gives its folder."""

    def begin(*overrides: str):
        with stopped_at(4):
            train(compose(*SMALL, "trainer.max_steps=8", *overrides), tmp_path / "run")
        return tmp_path / "run"

    return begin


@pytest.mark.parametrize("change", CHANGES)
def test_an_interrupted_run_does_not_go_on_with_another_picture(stopped, picture, compose, change) -> None:
    folder = stopped(f"signal.path={picture}")
    shutil.copy(picture, picture.with_suffix(".old"))
    checkpoint = (folder / "checkpoints" / "last.ckpt").read_bytes()
    CHANGES[change](picture)
    for again in (
        lambda: resume_or_repeat.resume(folder),
        lambda: train(compose(*SMALL, "trainer.max_steps=8", f"signal.path={picture}"), folder, resume=True),  # a sweep
    ):
        with pytest.raises(
            (CompactHydraException, UserError), match=r"changed since .* read it; put the old file"
        ) as said:
            again()
        assert str(picture) in str(said.value)
        assert "\n" not in str(said.value)
        assert (folder / "checkpoints" / "last.ckpt").read_bytes() == checkpoint
    shutil.copy(picture.with_suffix(".old"), picture)  # another time of change, the same bytes
    resume_or_repeat.resume(folder)
    assert (folder / "metrics.json").is_file()


@pytest.mark.parametrize("change", CHANGES)
def test_a_repetition_says_so_before_anything_is_written(fit, picture, tmp_path, change) -> None:
    folder = fit(*SMALL, f"signal.path={picture}")["folder"]
    CHANGES[change](picture)
    with pytest.raises(CompactHydraException, match=r"a.png' changed since .* read it"):
        resume_or_repeat.repeat(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_finished_job_of_a_sweep_is_told_as_one_of_another_picture(sweeper, fit, picture, tmp_path) -> None:
    overrides = ["seed=1,2", *SMALL, f"signal.path={picture}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    for job in sweeper(*overrides).jobs:
        fit(*SMALL, job.swept[0], f"signal.path={picture}", folder=str(job.folder))
    same = sweeper(*overrides)
    same.sweep([])
    assert [job.changed for job in same.jobs] == [[], []]
    CHANGES["another pixel"](picture)
    other = sweeper(*overrides)
    other.sweep([])
    assert [job.changed for job in other.jobs] == [[str(picture)]] * 2
    assert table(other.jobs).count("finished before, with another picture") == 2
    warnings = [line for line in conclude(other.jobs, tmp_path / "sweep") if line.startswith("warning")]
    assert len(warnings) == 2
    assert all(str(picture) in line and "remove that folder to fit it anew" in line for line in warnings)


def test_every_file_of_every_signal_is_kept(fit, tmp_path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        noise(number).save(folder / f"{number}.png")
    tifffile.imwrite(tmp_path / "large.tif", np.asarray(noise(5)), metadata=None)
    zero, one, mask = (str(folder / f"{number}.png") for number in range(3))
    cases = {
        "image": [f"signal.path={zero}"],
        "stencil": [f"signal.path={zero}"],
        "merge": [f"signal.paths=[{zero},{one}]", f"signal.mask={mask}", "loss=gradient"],
        "images": [f"signal.paths={folder}"],
        "large": [f"signal.path={tmp_path / 'large.tif'}"],
    }
    expected = {
        "image": {zero},
        "stencil": {zero},
        "merge": {zero, one, mask},
        "images": {str(folder), *(str(folder / f"{number}.png") for number in range(4))},
        "large": {str(tmp_path / "large.tif")},
    }
    for name, overrides in cases.items():
        rest = [part for part in SMALL if name != "large" or "signal.size" not in part]
        run = fit(f"signal={name}", *rest, *overrides, folder=name)["folder"]
        kept = OmegaConf.load(run / "config.yaml").derived.files
        assert set(kept) == expected[name]
        assert all(len(digest) == 64 for digest in kept.values())
        assert changed(run) == []
    alone = tmp_path / "images" / "fields" / "1"
    assert set(OmegaConf.load(alone / "config.yaml").derived.files) == {one}
    noise(9).save(one)
    assert changed(tmp_path / "merge") == changed(tmp_path / "images") == changed(alone) == [one]
    assert changed(tmp_path / "image") == []
    noise(9).save(folder / "new.png")
    assert set(changed(tmp_path / "images")) == {one, str(folder)}
    (folder / "1.png").unlink()
    assert changed(tmp_path / "merge") == []  # what is gone is told when it is read


def test_a_shipped_picture_and_a_closed_form_have_no_file(fit) -> None:
    for name in ("image", "analytic"):
        folder = fit(*SMALL, f"signal={name}", folder=name)["folder"]
        assert OmegaConf.load(folder / "config.yaml").derived.files == {}
        assert changed(folder) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "derived: 3", "derived: {files: [1]}", "derived: {files: {1: 2}}", "derived: {files: null}", "{", "\0"],
)
def test_a_folder_that_keeps_none_or_is_broken_says_nothing(tmp_path, text) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert changed(tmp_path) == []


@pytest.mark.parametrize("at", [0, 2**20 // 2, 2**20 - 1])
def test_of_a_large_file_its_length_and_blocks_are_looked_at(tmp_path, monkeypatch, at) -> None:
    monkeypatch.setattr(fingerprints, "_WHOLE", 2**18)
    file = tmp_path / "large.tif"
    content = bytearray(os.urandom(2**20))
    file.write_bytes(content)
    before = fingerprints.fingerprints([str(file)])
    content[at : at + 2**18] = os.urandom(len(content[at : at + 2**18]))
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))
    assert fingerprints.fingerprints([str(file)]) != before
    (tmp_path / "config.yaml").write_text(json.dumps({"derived": {"files": before}}))
    assert changed(tmp_path) == [str(file)]


def test_a_job_without_a_folder_has_nothing_changed(tmp_path) -> None:
    assert Job([], [], tmp_path / "nowhere").changed == changed(tmp_path / "nowhere") == []
