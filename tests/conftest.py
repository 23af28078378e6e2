"""What several test rooms share."""

from __future__ import annotations

import copy
import gc
import importlib.metadata
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage.data import camera

os.environ.setdefault("WANDB_MODE", "offline")  # no test may reach out
# Memory maps of collections are kept from run to run, and not in the user's own cache.
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"sinefield-tests-{os.getuid()}")
torch.set_num_threads(1)  # as with `make test`, whatever the machine has
# What is installed stays so; every run asks for it, and Lightning for its plugins.
importlib.metadata.version = cache(importlib.metadata.version)
importlib.metadata.entry_points = cache(importlib.metadata.entry_points)

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
SMALL = [
    "signal.size=16",
    "field.width=16",
    "field.depth=1",
    "trainer.max_steps=2",
    "tuned.batch_size=256",  # all samples
    "data.eval_every=2",
    "trainer.accelerator=cpu",
]
# Groups of conf/ that change the contact sheet.
DRAWN = ["evaluation", "signal", *(f"experiment/{name}" for name in ("inversion", "merge", "paper", "prior", "scene"))]
UNSIZED = ["signal/large"]  # takes a file as it is
PATCHES = ["signal/patches", "field/local_prior", "evaluation/patches", "experiment/prior/between"]
SMALL_PRIOR = ["field.base.width=8", "field.features=8", "field.depth=1", "signal.size=16", "signal.points=64"]
SMALL_PRIOR += ["signal.paths=[skimage:coins]", "signal.held_out=[skimage:text]", "evaluation.tiles=2"]


def needed(choice: Path) -> list[str]:
    """The choices that a YAML says it is for: "For signal=shape." in its first lines."""
    head = (CONF / choice).with_suffix(".yaml").read_text().partition("\n_target_")[0]
    said = re.search(r"\bFor (signal=\w+(?: \w+=\w+)*)", head)
    return said[1].split() if said else []


def small(choice: str, folder: Path) -> list[str]:
    """`SMALL` for a file of conf/; what is needed besides is put into the folder."""
    if "bspline" in choice:  # which has no layers
        return [part for part in SMALL if not part.startswith("field.")]
    if choice in PATCHES:
        return [
            *(part for part in SMALL if not part.startswith(("field.", "signal."))),
            *SMALL_PRIOR,
            "data.batch_size=128",
        ]
    if choice == "signal/collection" or "signal=collection" in needed(Path(choice)):
        inside = [part.replace("field.", "tuned.") for part in SMALL]  # the sizes of the base
        crops = ["signal.crops=2"] if choice == "experiment/prior/natural" else []
        return [*inside, "signal.paths=faces", "evaluation.pictures=2", *crops]
    if choice == "optimizer/learned":
        return [*SMALL, f"field.init={learned_start(folder / 'start')}"]
    if choice not in UNSIZED:
        return SMALL
    Image.fromarray(camera()[:33, :31]).save(folder / "a.tif")
    rest = [part for part in SMALL if "signal.size" not in part]
    return [*rest, f"signal.path={folder / 'a.tif'}", "signal.scored=200"]


def learned_start(folder: Path, *knobs: str) -> Path:
    """The folder of a finished run of algorithm=meta, of some steps, on faces."""
    from hydra import compose, initialize_config_dir

    from sinefield.runs.train import train

    sizes = [part.replace("field.", "tuned.") for part in SMALL]
    few = ["algorithm=meta", "encoding=radial", "signal.together=4", "field.points=32", "data.batch_size=128"]
    few += ["evaluation.pictures=2", "evaluation.rates=[1e-2]", "logger=none"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("train", [*sizes, *few, *knobs]), folder)
    return folder


def pytest_collection_finish() -> None:
    gc.freeze()  # thousands of tests, which the collector need not look through again


@cache
def _commit(ask: Callable[[], str | None]) -> str | None:
    """Git is asked once, by four processes, and not by every run."""
    return ask()


def _few(descend: Callable[..., Any], parts: Any, energy: Any, steps: int, rate: float) -> Any:
    """Some of the hundreds of steps by which codes and fields of held-out pictures are made better."""
    return descend(parts, energy, min(steps, 5), rate)


@pytest.fixture(autouse=True)
def small_sheet(request) -> Iterator[None]:
    """Runs in this process draw a small contact sheet, whose layout takes as long as all else that a small run does.

    Nor do they ask git each time, wait for the disk or complete pictures until nothing gets better. The sheet is drawn
    in tests of pictures and of the files in conf/ that change it, and wherever a Python of its own runs `train.py`.
    """
    drawn = request.path.parent.name == "report" or request.path.stem in ("test_train", "test_resume_signals")
    drawn |= request.node.name.startswith(tuple(f"test_a_yaml_makes_a_finished_run[{group}/" for group in DRAWN))
    with pytest.MonkeyPatch.context() as patch:  # not the test's own, whose turn among its fixtures that would change
        patch.setattr(os, "fsync", lambda descriptor: None)  # no test cuts the power
        if not drawn and "sinefield.report.pictures" in sys.modules:
            patch.setattr("sinefield.report.sheet.contact_sheet", lambda panels, *arguments: panels["error"])
        for name in ("surface.views", "surface.slices", "volume.views"):
            module = sys.modules.get(f"sinefield.evaluation.{name.partition('.')[0]}")
            if module is not None and request.path.parent.name not in ("evaluation", "report"):
                patch.setattr(module, name.partition(".")[2], lambda *arguments, **options: b"")
        coded = sys.modules.get("sinefield.fields.coded")
        if coded is not None and request.path.parent.name not in ("fields", "render"):
            patch.setattr(coded, "descend", partial(_few, coded.descend))
        environment = sys.modules.get("sinefield.training.environment")
        if environment is not None and request.path.stem != "test_environment":
            patch.setattr(environment, "_git_commit", partial(_commit, environment._git_commit))
        yield


@pytest.fixture
def compose() -> Callable[..., object]:
    """The composed configuration for some overrides, as train.py would get it."""
    return lambda *overrides: copy.deepcopy(_composed(*overrides))


@cache
def _composed(*overrides: str) -> object:
    """Hydra reads some twenty files for it."""
    from hydra import compose, initialize_config_dir

    keep_files_of_conf()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides))


@cache
def keep_files_of_conf() -> None:
    """Let Hydra read and parse a file of conf/ once in this process, not for every configuration that it composes."""
    from hydra.core.plugins import Plugins

    Plugins.instance()  # imports the next module once more
    from hydra._internal.core_plugins.file_config_source import FileConfigSource

    read = FileConfigSource.load_config
    kept: dict[str, Any] = {}

    def load_config(self: Any, config_path: str) -> Any:
        if self.path != str(CONF):
            return read(self, config_path)
        if config_path not in kept:
            kept[config_path] = read(self, config_path)
        return copy.deepcopy(kept[config_path])

    FileConfigSource.load_config = load_config


@pytest.fixture
def sweeper() -> Callable[..., Any]:
    """The sweeper as `train.py -m` would set it up, its jobs composed, nothing run."""
    from hydra import initialize_config_dir
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    keep_files_of_conf()

    def made(*overrides: str) -> Any:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            config = hydra.compose_config("train", list(overrides), RunMode.MULTIRUN)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
            return Plugins.instance().instantiate_sweeper(
                config=config, hydra_context=context, task_function=lambda config: None
            )

    return made


@pytest.fixture
def fit(compose: Callable[..., object], tmp_path: Path) -> Callable[..., dict]:
    """Run train() in a folder of its own; the metrics, with the folder under "folder"."""
    from sinefield.runs.train import train

    def run(*overrides: str, folder: str = "run") -> dict:
        return train(compose(*overrides), tmp_path / folder) | {"folder": tmp_path / folder}

    return run


@pytest.fixture
def stopped_at(monkeypatch) -> Callable[..., Any]:
    """`with stopped_at(3): …` sends this process SIGTERM while the points of step 3 are made, in the middle of step 2.

    What is inside must end by it.
    """
    from sinefield.system.shutdown import Interrupted
    from sinefield.training.data import SignalData

    make = SignalData.batch

    @contextmanager
    def stopped(step: int) -> Iterator[Any]:
        def batch(self: Any, number: int) -> Any:
            if number == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return make(self, number)

        with monkeypatch.context() as patch:
            patch.setattr(SignalData, "batch", batch)
            with pytest.raises(Interrupted) as caught:
                yield caught

    return stopped


@pytest.fixture
def float64() -> Iterator[None]:
    """Double precision by default and a fixed seed, both undone afterwards: what the laws of the mathematics run in."""
    import torch

    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(before)


@pytest.fixture
def at_server(monkeypatch) -> Callable[[str], None]:
    """Points W&B's client, in the processes that are started from here, to a server's address."""

    def point(url: str) -> None:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
        for name in ("WANDB_MODE", "WANDB_SERVICE", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            monkeypatch.delenv(name, raising=False)  # what an earlier run in this process has left

    return point


@pytest.fixture
def standin(at_server) -> Iterator[Any]:
    """A stand-in for W&B's server that answers and records."""
    from wandb_server import serving

    with serving() as running:
        at_server(running.url)
        yield running
