"""The configuration in a run folder, which somebody else may have made: read, and checked before anything is built.

`_target_` names what Hydra imports and calls, so a configuration is a program. One that comes with a folder may ask for
this project's own parts and for torch's optimizers and schedules, a trainer and a logger in their places, and nothing
else; what a user types themselves is theirs to choose. Its interpolations may refer to other values, multiply and round
them, and take a default for one that is not there, and not, as `${oc.env:…}` would, to what the machine knows.
"""

import inspect
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sinefield.errors import UserError, require
from sinefield.report.parsing import parsed_yaml

# Whose classes compute, and at most read a file.
PARTS = tuple(
    f"sinefield.{part}" for part in ("activations", "encodings", "fields", "losses", "optimizers", "signals", "solvers")
)
PARTS += ("torch.optim",)
INSIDE = re.compile(r"\$\{(times|rounded|oc\.select):")  # resolvers that look at nothing but the configuration
PLACES = {"trainer": "pytorch_lightning.Trainer", "evaluation": "sinefield.evaluation"}
PLACES |= {"logger": "sinefield.runs.loggers"}  # these write into the run folder
MOVED = {  # what run folders of version 0.1 call the parts that are loaded and drawn
    "sinefield.field": "sinefield.fields.mlp",
    "sinefield.signals.rules": "sinefield.signals.merging.rules",
}
SEARCH = "sinefield.sweep.pruning.Prune"  # a search's callback of its trial


def packages(text: str | None) -> list[str]:
    """What `trust=a,b` names."""
    return [name for name in str(text or "").split(",") if name]


def asked_for(config: DictConfig) -> list[str]:
    """The packages and modules beside this one whose classes a configuration asks for, of one who composed it."""
    texts = _texts(OmegaConf.to_container(config, resolve=True))
    return sorted({text.partition(".")[0] for _, keys, text in texts if keys[-1] == "_target_"} - {"sinefield"})


def read(folder: Path, trust: Collection[str] = (), composed: bool = False) -> DictConfig:
    """The configuration to go on with: resolved, or as composed where asked, or where the run was killed before.

    A trial of a search goes on without the search, whose database is outside of the folder and takes no more reports of
    a finished trial. `trust` names further packages or modules whose classes and functions it may ask for.

    Raises:
        UserError: there is none, it cannot be read, it is of version 0.1, it asks for what no run needs or refers to
            what is outside of it.
    """
    config = _parsed(folder, composed)
    old = "whose losses were others: it can be rendered and compared, but neither resumed nor repeated; start a new run"
    require(not config.keys() & {"facts", "recipe"}, f"{folder} was made by sinefield 0.1, {old}")
    content: Any = OmegaConf.to_container(config)
    callback = content.get("callback")
    if isinstance(callback, dict) and callback.get("_target_") == SEARCH:
        config.callback = content["callback"] = None
    _check(content, (), trust)
    return config


def lengthened(folder: Path, steps: int, trust: Collection[str] = ()) -> tuple[DictConfig, dict[str, str]]:
    """The configuration of a run with trainer.max_steps=`steps`, and its files in `.hydra/`, by name.

    It is made of what was composed, where the schedule still refers to trainer.max_steps. Raises `UserError` as `read`
    does, or where the folder lacks what was composed.
    """
    names = (".hydra/config.yaml", ".hydra/overrides.yaml")
    for name in names:
        require((folder / name).is_file(), f"{folder} has no {name}, so it cannot be made longer; start a new run")
    config, knob = read(folder, trust, composed=True), "trainer.max_steps"
    with _named(folder / ".hydra"):
        config.trainer.max_steps = steps
        typed = map(str, parsed_yaml(folder / names[1]))
        others = [text for text in typed if text.lstrip("+").partition("=")[0] != knob]
    overrides = OmegaConf.create([*others, f"{knob}={steps}"])
    return config, dict(zip(names, map(OmegaConf.to_yaml, (config, overrides)), strict=True))


def part(folder: Path, place: str, trust: Collection[str] = ()) -> DictConfig:
    """The table at `place`, such as "field", with all that it refers to; the rest may ask for what it likes.

    Raises:
        UserError: as `read`, or the table is not there.
    """
    config = _parsed(folder)
    with _named(folder):
        OmegaConf.resolve(config)
        table = config.get(place)
    require(isinstance(table, DictConfig), f"{folder} has no {place} in its config.yaml; get the folder again")
    _check(OmegaConf.to_container(table), (place,), trust)
    return table


def started_in(folder: Path) -> str | None:
    """The current folder of the command that started a run; None where it is not known."""
    try:
        start = parsed_yaml(folder / ".hydra" / "hydra.yaml")["hydra"]["runtime"]["cwd"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return start if isinstance(start, str) and os.path.isabs(start) else None


def _parsed(folder: Path, composed: bool = False) -> DictConfig:
    files = [file for file in (folder / "config.yaml", folder / ".hydra" / "config.yaml") if file.is_file()]
    require(bool(files), f"{folder} holds no run (no config.yaml in it)")
    file = files[-1 if composed else 0]
    with _named(file):
        content = parsed_yaml(file)
        for table, keys, text in _texts(content):
            inside = "${" not in text or ":" not in INSIDE.sub("", text)
            require(inside, f"{file}: {'.'.join(keys)} is {text!r}, which looks outside the file; write its value")
            module, _, name = text.rpartition(".")
            if keys[-1:] == ("_target_",) and module in MOVED:
                table["_target_"] = f"{MOVED[module]}.{name}"
        config = OmegaConf.create(content or {})
    require(isinstance(config, DictConfig) and bool(config), f"{file} holds no configuration; take a run's folder")
    return config


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} holds no whole configuration of a run ({reason}); get the folder again") from error


def _check(config: Any, place: tuple[str, ...], trust: Collection[str]) -> None:
    """Raise `UserError` where a `_target_` in a configuration that stands at `place` is none that may be there."""
    for _, (*keys, key), text in _texts(config, place):
        if key == "_target_":
            where = ".".join(keys)
            allowed = (*PARTS, *trust, *([PLACES[where]] if where in PLACES else []))
            # By its name first, since a look at the object imports the module; then by where it is really from.
            require(
                _within(text, allowed) and _from(text, allowed, trust),
                f"{where}._target_ is {text!r}, which is no class that a run folder may ask for; if you know what it "
                f"does, add trust={text.partition('.')[0]}",
            )


def _from(name: str, allowed: Collection[str], trust: Collection[str]) -> bool:
    """Whether what `name` leads to is a class defined where it may be; in a trusted package, a function as well."""
    try:
        target = get_object(name)
    except Exception as error:  # whatever an import raises
        raise UserError(f"there is no {name}; install the package as the run was made with") from error
    home = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    if _within(home, trust):
        return callable(target)
    return inspect.isclass(target) and (name in allowed or _within(home, allowed))


def _within(name: str, allowed: Collection[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def _texts(value: Any, keys: tuple[str, ...] = (), parent: Any = None) -> Iterator[tuple[Any, tuple[str, ...], str]]:
    """Every text in nested tables and lists, with what holds it and the keys to it; a `_target_` always as text."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(str(item) if key == "_target_" else item, (*keys, str(key)), value)
    elif isinstance(value, str):
        yield parent, keys, value
