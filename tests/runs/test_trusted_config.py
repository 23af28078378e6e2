"""What a run folder may ask for, and that it gets nothing else: neither by its configuration nor by its checkpoints."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from conftest import CONF, ROOT, SMALL
from processes import run as command

import sinefield
from sinefield.errors import UserError
from sinefield.runs import trusted_config as saved
from sinefield.runs.train import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    from hydra import compose, initialize_config_dir

    folder = tmp_path_factory.mktemp("saved") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", [*SMALL, "logger=none"]), folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of it, to be spoilt."""
    return shutil.copytree(finished, tmp_path / "run")


def write(folder: Path, place: str, value: object) -> None:
    """Put `value` at a dotted place of the folder's configuration."""
    config = its = yaml.load((folder / "config.yaml").read_text(), yaml.CSafeLoader)
    *tables, key = place.split(".")
    for table in tables:
        its = its[table]
    its[key] = value
    (folder / "config.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper))


def refused(folder: Path, *parts: str) -> None:
    """Neither resumed nor loaded, in one line that says each of the parts."""
    for reading in (lambda: saved.read(folder), lambda: saved.part(folder, "field")):
        with pytest.raises(UserError) as caught:
            reading()
        assert "\n" not in str(caught.value)
        for part in parts:
            assert part in str(caught.value)


HOSTILE = [
    "os.system",
    "subprocess.run",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "hydra.utils.get_method",
    "hydra.utils.get_class",
    "hydra.utils.instantiate",
    "hydra._internal.instantiate._instantiate2.instantiate",
    "functools.partial",
    "torch.load",
    "torch.hub.load",
    "torch.nn.Linear",
    "torch.optim.adam.torch.load",
    "torch.optim.Adam.load_state_dict",
    "sinefield.runs.train.os.system",
    "sinefield.runs.train.shutil.rmtree",
    "sinefield.fields.mlp.Sine.register_forward_hook",
    "sinefield.signals.decoding.pixels.Image.open",
    "sinefield.signals.decoding.pixels.zlib.compressobj",
    "sinefield.losses.base.ABC",
    "sinefield.activations",
    "sinefield.activations.sine.Nothing",
    "sinefield.activations.nowhere.Thing",
    "sinefield.activationsx.Thing",
    "sinefield.system.files.write_atomically",
    "sinefield.runs.loggers.Csv",  # empties a folder: only in its place, where the folder is given to it
    "pytorch_lightning.Trainer",
    "pytorch_lightning.loggers.CSVLogger",
    "${seed}",
    ["os.system"],
    {"_target_": "os.system"},
    None,
    3,
]


@pytest.mark.parametrize("target", HOSTILE, ids=str)
def test_a_folder_that_asks_for_anything_else_is_refused(target, folder) -> None:
    node = {"_target_": target, "_args_": [f"touch {folder}/hit"], "_partial_": True}
    for place in ("field", "field.activation", "field.extra") if target in HOSTILE[:3] else ("field.activation",):
        before = (folder / "config.yaml").read_text()
        write(folder, place, [[node]] if place.endswith("extra") else node)
        refused(folder, "field")
        (folder / "config.yaml").write_text(before)
    write(folder, "seed", node)  # elsewhere in the file, which only a resumed run builds
    write(folder, "field.activation.omega0", "${seed}")
    refused(folder)
    assert not (folder / "hit").exists()


@pytest.mark.parametrize(
    "text", ["${oc.env:HOME}", "${times:${oc.env:HOME},2}", "a ${oc.decode:1}", "${oc.create:{_target_:os.system}}",
             "${now:%Y}", "${hydra:runtime.cwd}", "${${name}:1}", "${ oc.env :HOME}"],
)  # fmt: skip
def test_a_folder_cannot_look_at_the_environment(text, folder) -> None:
    for place in ("name", "field.width", "waves"):
        write(folder, place, [text] if place == "waves" else text)
        refused(folder, "looks outside the file")
        write(folder, place, 1)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "3", "a: &a [*a]", "a: &a [x]\nb: [*a, *a]", "[" * 100_000, "{" * 50_000, "- " * 100_000, "field: 3",
     "a: ${a}\nfield: {width: '${a}'}", "field: ${nothing}", "field: '???'",
     "\0", "!!python/object/apply:os.system [x]"],
    ids=range(14),
)  # fmt: skip
def test_a_configuration_that_is_none_is_one_line(content, folder) -> None:
    (folder / "config.yaml").write_text(content)
    with pytest.raises(UserError) as caught:
        saved.part(folder, "field")
    assert "\n" not in str(caught.value)


def test_a_user_s_own_class_is_built_where_it_is_trusted_and_only_then(folder, tmp_path, monkeypatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text(
        "import os\nfrom sinefield.activations.sine import Sine\n\nclass Own(Sine):\n    'Mine.'\n\n"
        "def made(**more):\n    return Own(**more)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("Own", "made"):
        write(folder, "field.activation._target_", f"mine.{name}")
        with pytest.raises(UserError, match=f"'mine.{name}'.*trust=mine"):
            sinefield.load(folder)
        assert "mine" not in sys.modules  # what is not trusted is not even imported
        assert type(sinefield.load(folder, trust=["mine"]).activation).__name__ == "Own"
        del sys.modules["mine"]
    write(folder, "field.activation._target_", "mine.os.system")
    with pytest.raises(UserError, match=r"mine\.os\.system"):
        sinefield.load(folder, trust=["mine"])


def test_resume_and_render_refuse_it_at_the_command_line(folder, tmp_path) -> None:
    node = {"_target_": "os.system", "_args_": [f"touch {tmp_path}/hit"]}
    write(folder, "field", {"_target_": "os.system", "command": f"touch {tmp_path}/hit"})
    write(folder, "callback", node)
    rendered = command(f"run={folder}", script=ROOT / "scripts" / "render.py", cwd=tmp_path)
    (folder / "metrics.json").unlink()
    for done in (rendered, command(f"resume={folder}", cwd=tmp_path)):
        assert done.returncode == 1
        assert "'os.system', which is no class that a run folder may ask for" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "hit").exists()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_malicious_checkpoint_executes_nothing(folder, tmp_path) -> None:
    hit, file = tmp_path / "hit", folder / "checkpoints" / "last.ckpt"
    with file.open("wb") as stream:
        pickle.dump({"state_dict": Bomb(hit)}, stream)
    with pytest.raises(UserError, match="is not a whole checkpoint"):
        sinefield.load(folder)
    torch.save({"state_dict": {"x": Bomb(hit)}}, file)
    torch.load(file, weights_only=False)  # the bomb is a real one
    assert hit.exists()
    hit.unlink()
    with pytest.raises(UserError, match="is not a whole checkpoint"):
        sinefield.load(folder)
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match="is not a whole checkpoint"):
        train(saved.read(folder), folder, resume=True)
    assert not hit.exists()


def test_a_checkpoint_cannot_be_larger_inside_than_outside(folder) -> None:
    file = folder / "checkpoints" / "last.ckpt"
    torch.save({"state_dict": {"x": torch.zeros(10**6)}}, file)
    with zipfile.ZipFile(file) as plain:
        entries = {entry.filename: plain.read(entry) for entry in plain.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    with pytest.raises(UserError, match="it is compressed"):
        sinefield.load(folder)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.7])
def test_a_byte_that_changed_is_noticed(place, folder) -> None:
    file = folder / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(file) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(file.read_bytes())
    content[entry.header_offset + 128 + int(place * (entry.file_size - 128))] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"{entry.filename} in it is damaged"):
        sinefield.load(folder)


def test_weights_that_are_not_finite_are_refused(folder) -> None:
    file = folder / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    state["state_dict"]["field.head.bias"].fill_(float("nan"))
    torch.save(state, file)
    with pytest.raises(UserError, match="not finite"):
        sinefield.load(folder)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("optimizer_states", 0, "state", 2, "exp_avg"), None, "is not a whole checkpoint of this run"),
        (("callbacks", "History", "rows"), [], "its history is none"),
        (("callbacks", "History", "rows", 0, "psnr"), None, "its history is none"),
        (("callbacks", "History", "each", 0, 0), {"step": 2}, "its history is none"),
        (("global_step",), 0, "its step must be a whole number of at least 1"),
    ],
)
def test_a_damaged_entry_of_a_checkpoint_is_named_before_a_step(place, value, said, folder) -> None:
    file = folder / "checkpoints" / "last.ckpt"
    found = torch.load(file, weights_only=True)
    its = found
    for key in place[:-1]:
        its = its[key]
    its[place[-1]] = value
    torch.save(found, file)
    (folder / "metrics.json").unlink()
    config = saved.read(folder)
    config.trainer.max_steps = config.scheduler.total_steps = 4
    with pytest.raises(UserError) as caught:
        train(config, folder, resume=True)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_and_schedule_are_the_configuration_s_and_not_the_checkpoint_s(folder, tmp_path) -> None:
    (folder / "metrics.json").unlink()
    ends = []
    for name, damage in (("whole", False), ("damaged", True)):
        run = shutil.copytree(folder, tmp_path / name)
        found = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        if damage:
            found["lr_schedulers"][0]["total_steps"] = None
            found["optimizer_states"][0]["param_groups"][0]["eps"] = 1.0
        torch.save(found, run / "checkpoints" / "last.ckpt")
        config = saved.read(run)
        config.trainer.max_steps = config.scheduler.total_steps = 4
        train(config, run, resume=True)
        ends.append(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
