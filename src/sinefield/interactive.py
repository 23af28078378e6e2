"""`fit`: the program as one call, for notebooks and scripts; it leaves a run folder and this process as it was."""

import json
import logging
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig, OmegaConf, flag_override
from torch import Tensor

from sinefield import render
from sinefield.core.jet import Jet
from sinefield.errors import UserError, integer, require
from sinefield.render.export import export
from sinefield.runs import trusted_config
from sinefield.runs.command import table
from sinefield.runs.folders import CONF, hydra_texts, new_folder, usual_folder
from sinefield.runs.loading import load
from sinefield.runs.overrides import override
from sinefield.runs.program import explain
from sinefield.runs.train import train
from sinefield.signals.decoding.arrays import write_picture
from sinefield.system.files import writing
from sinefield.system.shutdown import Interrupted
from sinefield.system.status import read, refuse


class Fitted:
    """A finished run: what `sinefield.load`, scripts/render.py and scripts/export.py answer about it.

    In a notebook it shows the contact sheet, at a prompt its scores.

    Attributes:
        folder: of the run, absolute; docs/runs.md explains its files.
        metrics: metrics.json, the final scores and costs.
    """

    def __init__(self, folder: Path, trust: list[str]) -> None:
        self.folder, self.trust = folder, trust
        self.metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())

    @cached_property
    def field(self) -> Any:
        """The network, an `nn.Module` in evaluation mode on the CPU; `UserError` where a run has one per picture."""
        return load(self.folder, trust=self.trust)

    @cached_property
    def picture(self) -> render.Picture:
        """The network over the pixels of its picture; `UserError` for another kind of signal."""
        return render.Picture(self.folder, trust=self.trust)

    def __call__(self, x: Tensor) -> Tensor:
        """Values (..., C) at coordinates (..., D), all in [-1, 1]."""
        values: Tensor = self.field(x)
        return values

    def jet(self, x: Tensor, order: int = 2) -> Jet:
        """Value (N, C), gradient (N, C, D) and second derivatives (N, C, 1), as deep as `order` asks, at x (N, D)."""
        jet: Jet = self.field.jet(x, order)
        return jet

    def at(self, positions: Any, part: str = "value", units: str = "colour") -> Jet:
        """The jet at [[column, row], ...] in pixels, as `sinefield.render.at` has it."""
        return render.at(self.picture, positions, part, units)

    def render(self, path: str | Path | None = None, **options: Any) -> Path:
        """Draw it into a .png, .tif or .npy with the options of `render.render`, such as `scale=4`.

        Returns the file, render.png in the run folder where none is named. Raises `UserError` as that does.
        """
        path = Path(path or self.folder / "render.png")
        render.render(self.picture, path, **options)
        return path

    def save(self, path: str | Path, order: int = 0) -> Path:
        """A copy of the run folder, which `sinefield.load` reads; or, as .onnx or .pt2, a program without sinefield.

        Args:
            path: a folder that is not there yet, or a file that ends in .onnx or .pt2.
            order: of the derivatives that a program answers, 0 to 2.

        Raises:
            UserError: there is such a folder, or the field cannot be exported.
        """
        path = Path(path)
        if path.suffix in (".onnx", ".pt2"):
            dims = trusted_config.part(self.folder, "field", self.trust).get("in_features")
            export(self.field, dims, path, order)
            return path
        require(not path.exists(), f"{path} is there already; choose another folder, or a file FIELD.onnx or FIELD.pt2")
        with writing(path):
            shutil.copytree(self.folder, path)
        return path

    def __repr__(self) -> str:
        return f"{table(self.metrics)}\nrun folder         {self.folder}"

    def _repr_png_(self) -> bytes | None:
        """For notebooks; None where the evaluation draws no contact sheet."""
        sheet = self.folder / "contact_sheet.png"
        return sheet.read_bytes() if sheet.is_file() else None


def fit(
    source: Any = None,
    *overrides: str,
    steps: int | None = None,
    folder: str | Path | None = None,
    **knobs: Any,
) -> Fitted:
    """Fit a field to a signal, as `python train.py` with the same overrides does, and wait for it.

        fit("cat.jpg", loss="gradient")
        fit(pixels, "activation.omega0=60", steps=2000, field={"width": 64}, folder="cat")

    Args:
        source: signal.path; or a picture as (H, W) or (H, W, 3) of uint8, uint16 or floats from 0, black, to 1, white,
            which is kept in the run folder; None for the default of the signal.
        overrides: as on the command line, for all that Python's keywords cannot spell, such as "+knob=1" or "~logger".
        steps: trainer.max_steps.
        folder: of the run; None for a new one, outputs/<name>/<time> in the current folder.
        knobs: a group's choice or a knob's value, as text, number, list, None; or a table of knobs.

    Raises:
        UserError: for what you can mend: an unknown choice or knob, a file that is none, a folder that holds a run, …
        KeyboardInterrupt: after Ctrl-C, with a checkpoint written; `python -m sinefield resume=FOLDER` goes on.
    """
    typed = [override(name, value) for name, value in _flat(knobs)]
    if steps is not None:
        typed.append(f"trainer.max_steps={integer('steps', steps, least=1)}")
    is_array = source is not None and not isinstance(source, str | Path)
    if source is not None and not is_array:
        typed.append(override("signal.path", source))
    config, texts = _compose([*typed, *overrides])
    if folder is None:
        with writing(place := usual_folder(str(config.name))):
            place = new_folder(place)
    else:
        place = Path(folder)
        refuse(place, read(place), False, lambda: False)  # before a picture is written into it
    place = place.absolute()
    if is_array:
        written = override("signal.path", write_picture(source, place / "input"))
        config, texts = _compose([*typed, written, *overrides])
    with _undisturbed():
        try:
            train(config, place, texts=texts)
        except Interrupted as stopped:
            if stopped.code != 130:  # Ctrl-C is for the notebook to handle, SIGTERM ends the process
                raise
            raise KeyboardInterrupt(f"{place} holds a checkpoint; python -m sinefield resume={place} goes on") from None
    return Fitted(place, trusted_config.asked_for(config.field))


def _flat(knobs: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted name."""
    for name, value in knobs.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _compose(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The configuration as the program would have it, and its files for the run folder; Hydra remembers nothing."""
    for text in overrides:
        own = text.lstrip("+~").startswith("hydra")
        require(not own, f"{text!r} is for the command line; folder= chooses the folder, python -m sinefield -m sweeps")
    base = VersionBase.instance()
    before = base.version_base
    setbase("1.3")
    try:
        loader = ConfigLoaderImpl(create_config_search_path(str(CONF)))
        config = loader.load_configuration("train", overrides, RunMode.RUN, from_shell=False)
    except Exception as error:
        raise UserError(explain(error, composing=True)) from error
    finally:
        base.version_base = before
    with flag_override(config, ["struct", "readonly"], [False, False]):
        hydra = OmegaConf.create({"hydra": config.pop("hydra")})
    return config, hydra_texts(config, hydra)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Give back random generators, environment, denormal numbers and the level of Lightning's logger as they were."""
    log, environment = logging.getLogger("pytorch_lightning"), dict(os.environ)
    level, flushed = log.level, sys.float_info.min / 2 == 0
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        log.setLevel(level)
        torch.set_flush_denormal(flushed)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
