"""What there is to test: found in the package and in conf/, so that a new file is tested by being there."""

import copy
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from conftest import CONF, needed, small
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from sinefield.errors import UserError
from sinefield.runs.folders import register_resolvers

NEEDS = {  # beside what their first lines say; several devices are tested in their own processes
    "evaluation/start": ["algorithm=meta"],
    "experiment/paper/helmholtz": ["loss.terms.equation.count=100"],
    "loss/term/helmholtz_absolute": ["signal=helmholtz", "optimizer=adam", "loss.terms.more.count=50"],
    "loss/term/helmholtz_dual": ["signal=helmholtz", "loss.terms.more.nodes=19", "loss.terms.more.modes=9"],
    "signal/propagator": ["signal=inversion"],
    "signal/propagator/acoustic": ["signal=seismic"],
    "signal/rule": ["signal=merge"],
    "trainer": ["trainer.devices=1"],
}
SCENE = ["signal.views=6", "signal.every=3", "evaluation.samples=8", "evaluation.resolution=8", "evaluation.frames=2",
         "loss.terms.pixels.rays=64", "loss.terms.pixels.samples=8", "loss.terms.pixels.coarse=8"]  # fmt: skip
SMALLER = {  # what makes runs of a signal small
    "algorithm=meta": ["evaluation.rates=[1e-2]"],
    "algorithm=reptile": ["evaluation.rates=[1e-2]"],
    "experiment=prior/start": ["evaluation.rates=[1e-2]"],
    "signal=heat": ["encoding.frequencies=40"],
    "signal=helmholtz": ["encoding.frequencies=40", "loss.terms.equation.nodes=19", "loss.terms.equation.modes=9"],
    "signal=poisson": ["encoding.frequencies=40"],
    "signal=seismic": ["signal.propagator.frequency=0.5"],  # Hz, for nodes of 370 m
    "experiment=inversion/marmousi": ["signal.propagator.frequency=0.5"],
    "signal=wave": ["signal.std=0.2", "signal.frames=5"],
    "signal=scene": SCENE,
    "experiment=scene/positional": SCENE,
    "signal=video": ["signal.seconds=0.4"],
    "signal=shape": ["signal.points=500", "evaluation.samples=200", "evaluation.resolution=20", "signal.start=false"],
}


def concrete(base: type) -> list[type]:
    """Every public concrete subclass of `base` that a module beside base's own defines."""
    package = importlib.import_module(base.__module__.rpartition(".")[0])
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
    classes = [
        cls
        for module in modules
        for cls in vars(module).values()
        if getattr(cls, "__module__", None) == module.__name__
    ]
    kinds = [cls for cls in classes if inspect.isclass(cls) and issubclass(cls, base) and not inspect.isabstract(cls)]
    return [cls for cls in kinds if not cls.__name__.startswith("_")]


def described(group: str) -> dict[str, DictConfig]:
    """The node with a `_target_` in every YAML of conf/<group>/, by the file's stem; without its defaults list."""
    return {name: copy.deepcopy(node) for name, node in _described(group).items()}


@cache
def _described(group: str) -> dict[str, DictConfig]:
    nodes = {file.stem: OmegaConf.load(file) for file in sorted((CONF / group).glob("*.yaml"))}
    nodes = {name: node.get(group, node) for name, node in nodes.items()}  # `@package _global_` nests it once
    return {
        name: OmegaConf.masked_copy(node, [key for key in node if key != "defaults"])
        for name, node in nodes.items()
        if "_target_" in node  # what only changes another choice is tested where every YAML is run
    }


def targets(group: str) -> set[type]:
    """The classes that the YAML files of a group build."""
    return {get_class(node._target_) for node in described(group).values()}


def build(node: DictConfig, **derived: int) -> Any:
    """What a node describes, built as sinefield.runs.train does it, with `derived` and conf/train.yaml's `tuned`."""
    register_resolvers()
    return instantiate(OmegaConf.create({"node": node, "derived": derived, "tuned": _tuned()}).node, _convert_="all")


@cache
def _tuned() -> DictConfig:
    return OmegaConf.load(CONF / "train.yaml").tuned


def is_read_back(config: DictConfig, folder: Path) -> bool:
    """Whether a composed configuration that lies in a run folder is permitted there, so that the run can be resumed."""
    from sinefield.runs import trusted_config

    OmegaConf.save(config, folder / "config.yaml")
    return trusted_config.read(folder) == config


def distance(found: Tensor | None, expected: Tensor | None) -> float:
    """The norm-wise relative error |found - expected| / |expected|, Frobenius; 0 where both are zero or None."""
    if found is None or expected is None:
        assert found is expected
        return 0.0
    assert found.shape == expected.shape
    assert found.isfinite().all()
    error, scale = torch.linalg.vector_norm(found - expected).item(), torch.linalg.vector_norm(expected).item()
    return error / scale if scale > 0 else error


def choices() -> list[Path]:
    """Every YAML of a group of conf/, without the ending."""
    return sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml") if path.parent != CONF)


def group_and_name(choice: Path) -> tuple[str, str]:
    parts = 1 if choice.parts[0] == "experiment" else len(choice.parts) - 1  # experiments are called by their path
    return "/".join(choice.parts[:parts]), "/".join(choice.parts[parts:])


def needs_of(choice: Path) -> list[str]:
    """What is typed beside a choice, since it is for one signal or cannot be alone."""
    return NEEDS.get(str(choice), NEEDS.get(group_and_name(choice)[0], needed(choice)))


def is_default(choice: Path) -> bool:
    """Whether the signal that a choice is for, or conf/train.yaml, chooses it anyway: that signal's run is its run."""
    needs = needs_of(choice)
    place = CONF / "train.yaml" if needs == [] else CONF / f"{'/'.join(needs).replace('=', '/')}.yaml"
    group, name = group_and_name(choice)
    return group != "signal" and place.is_file() and _defaults(place).get(group) == name


@cache
def _defaults(place: Path) -> dict[str, str]:
    """What a YAML's defaults list chooses, by group."""
    entries = [entry for entry in OmegaConf.load(place).get("defaults", []) if isinstance(entry, DictConfig)]
    return {key.removeprefix("override ").removeprefix("/"): value for its in entries for key, value in its.items()}


def pairs() -> list[tuple[type, str]]:
    """Every activation behind coordinates and behind waves, and every encoding in front of sines: an activation sees of
    an encoding only whether it is curved, and a first layer whether waves stand in front of it."""
    from sinefield.activations.base import Activation
    from sinefield.activations.sine import Sine

    activations = [(cls, encoding) for cls in concrete(Activation) for encoding in ("none", "radial")]
    return list(dict.fromkeys([*activations, *((Sine, encoding) for encoding in described("encoding"))]))


def overrides(choice: Path, folder: Path) -> list[str]:
    """What is typed for a run of two steps that takes a YAML in; files that it needs are put into the folder."""
    group, name = group_and_name(choice)
    chosen = f"+loss/term@loss.terms.more={name}" if group == "loss/term" else f"{group}={name}"
    needs = needs_of(choice)
    smaller = [knob for typed in (*needs, chosen) for knob in SMALLER.get(typed, [])]
    return [*needs, chosen, *small(str(choice), folder), *smaller]


def tried(make: Callable[[], Any]) -> tuple[Any, str]:
    """What is made and nothing said, or None and the message of the UserError."""
    try:
        return make(), ""
    except UserError as error:
        return None, str(error)
