"""For every input: it works, or a `UserError` says in one line what is wrong. Nothing else is raised, nothing hangs."""

from __future__ import annotations

import copy
import os
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
from hypothesis import given, note
from hypothesis import strategies as st
from inputs import (
    CHOICES,
    PICTURES,
    bounded,
    composed,
    damaged,
    edits,
    fresh,
    leaves,
    scalars,
    spoil,
    values,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from sinefield.errors import UserError
from sinefield.render.picture import Picture
from sinefield.report import dashboard
from sinefield.report.runs import find
from sinefield.runs import trusted_config as saved
from sinefield.runs.train import train
from sinefield.signals.decoding.pixels import decode

seen: Counter[str] = Counter()  # how many inputs ended how, by property


class Stop(pl.Callback):
    """Ends a run as a good one after its first step."""

    def on_train_batch_end(self, *_: Any) -> None:
        raise Enough


class Enough(Exception):  # noqa: N818  it is none
    """The first step was taken."""


def attempt(what: str, call: Any, *arguments: Any, **more: Any) -> Any:
    """What the call returns; None where it refused in one line, and said enough."""
    found, said = None, None
    try:
        with bounded(), patch("sinefield.evaluation.picture.Picture.draw", lambda *_: {"contact_sheet": None}):
            found = call(*arguments, **more)
    except Enough:
        pass
    except UserError as error:
        said = str(error)
    seen[f"{what}: {'taken' if said is None else 'refused'}"] += 1
    assert said is None or ("\n" not in said and 15 < len(said) < 1200), said
    return found


@cache
def home() -> Path:
    """A folder for all that is written."""
    return Path(tempfile.mkdtemp(prefix="fuzz"))


@cache
def finished() -> Path:
    """The folder of a whole run."""
    folder = home() / "finished"
    config = copy.deepcopy(composed("loss/gradient"))
    train(config, folder)
    return folder


def step(config: Any, folder: Path, **more: Any) -> None:
    """Train for one step, in one process."""
    OmegaConf.update(config, "callback", {"_target_": "properties.Stop"}, force_add=True)
    train(config, folder, alone=False, **more)


@given(st.sampled_from(PICTURES), edits)
def picture(content: bytes, edits: Any) -> None:
    """A damaged picture file is refused, or read as colours."""
    file = home() / "picture.bin"
    file.write_bytes(damaged(content, edits))
    with patch.object(Image, "MAX_IMAGE_PIXELS", 10**6):
        pixels = attempt("picture", decode, file)
    if pixels is not None:
        assert pixels.ndim == 3
        assert pixels.shape[2] in (1, 3)
        assert pixels.dtype == np.float64
        assert 0 <= pixels.min() <= pixels.max() <= 1


@given(st.sampled_from(CHOICES), st.data())
def knob(choice: str, data: st.DataObject) -> None:
    """Any value at any knob of any file in conf/ trains, or is refused."""
    place = data.draw(st.sampled_from(leaves(choice)))
    value = data.draw(values)
    repeated = place in ("optimizer.max_iter", "trainer.accumulate_grad_batches")
    if repeated and isinstance(value, int | float) and value > 1000:
        return  # is done as it was asked
    config = copy.deepcopy(composed(choice))
    try:
        OmegaConf.update(config, place, value, merge=False)
    except OmegaConfBaseException:  # no value that a configuration may have: Hydra says so
        return
    note(f"{choice}: {place}={value!r}")
    with tempfile.TemporaryDirectory(dir=home()) as folder:
        attempt("knob", step, config, Path(folder) / "run")


FILES = ["config.yaml", "metrics.json", "status.json", "history.csv", ".lock", "ground_truth.png", "error.png",
         "checkpoints/last.ckpt", "checkpoints", ".hydra/overrides.yaml"]  # fmt: skip
KINDS = ["write", "write", "write", "write", "folder", "pipe", "loop", "up", "elsewhere", "none"]


@given(st.sampled_from(FILES), st.sampled_from(KINDS), st.one_of(edits, st.binary(max_size=40)))
def folder(name: str, how: str, change: Any) -> None:
    """A run folder in ruins is shown by the dashboard as it is; rendered and resumed it works, or is refused."""
    note(f"{name}: {how} {change!r}")
    run = fresh(home() / "folder" / "run", finished())
    (run / ".hydra").mkdir(exist_ok=True)
    file = run / name
    old = file.read_bytes() if file.is_file() else b"[seed=1]"
    if file.is_dir():
        file.rename(run / "gone")
    spoil(run, name, how, change if isinstance(change, bytes) else damaged(old, change))
    attempt("dashboard", dashboard.build, run.parent)
    assert any(found.folder == run for found in find([run.parent])) or not (run / "config.yaml").is_file()
    attempt("render", Picture, run, "cpu")
    (run / "metrics.json").unlink(missing_ok=True) if not (run / "metrics.json").is_dir() else None
    attempt("resume", lambda: step(saved.read(run), run, resume=True))


@st.composite
def replaced(draw: Any, value: Any, depth: int = 0) -> Any:
    """The content of a checkpoint with one thing in it replaced or left out."""
    if isinstance(value, dict) and value and (depth == 0 or draw(st.integers(0, 9))):
        key = draw(st.sampled_from(list(value)))
        rest = {k: v for k, v in value.items() if k != key}
        return rest if not draw(st.integers(0, 4)) else rest | {key: draw(replaced(value[key], depth + 1))}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(replaced(value[at], depth + 1)), *value[at + 1 :]]
    shapes = st.sampled_from([torch.zeros(()), torch.zeros(3), torch.zeros(10**5, 1).expand(10**5, 10**5), "x", {}])
    return draw(st.one_of(scalars.filter(lambda v: not isinstance(v, int) or abs(v) < 2**63), shapes))


@given(st.one_of(edits, st.data()))
def checkpoint(change: Any) -> None:
    """A checkpoint that is damaged, of another model, or made up is refused; else the run goes on to its end."""
    run = fresh(home() / "checkpoint", finished())
    file = run / "checkpoints" / "last.ckpt"
    if isinstance(change, list):
        file.write_bytes(damaged(file.read_bytes(), change))
    else:
        note("made up")
        made_up = change.draw(replaced(torch.load(file, weights_only=True)))
        torch.save(made_up, file)
    attempt("load", Picture, run, "cpu")
    os.remove(run / "metrics.json")
    config = saved.read(run)
    config.trainer.max_steps = 4  # as if it had been interrupted
    attempt("continue", train, config, run, resume=True, alone=False)


TARGETS = [picture, knob, folder, checkpoint]
