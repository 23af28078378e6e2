"""How a run folder begins, and what a fit leaves in it: pictures, figures, a run folder for every field of a stack."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sinefield.evaluation.base import Evaluation, Scores, mean
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.stack import select_fields
from sinefield.signals.base import Signal
from sinefield.system.files import write_atomically, write_texts, writing
from sinefield.training.callbacks import History, write_rows
from sinefield.training.checkpoints import AtomicCheckpoints
from sinefield.training.module import FieldModule

Figures = dict[str, Any]


def begin(folder: Path, config: dict[str, Any], anew: bool, texts: Mapping[str, str]) -> None:
    """Write config.yaml and remove an earlier failure's traceback; anew, also all else that a failed run has left.

    Its checkpoint must never meet this configuration, nor its rows at W&B those to come. A run that is made longer is
    no finished one from here on. `texts` are further files, by name.
    """
    kept = folder / "checkpoints"
    if anew:
        if (kept / "last.ckpt").exists():
            _remove(folder / "wandb" / "run.json")
        _remove(kept / "last.ckpt" if kept.is_dir() and not kept.is_symlink() else kept)
    if (folder / "metrics.json").exists():
        for name in ("metrics.json", "fields", "repeat.json"):
            _remove(folder / name)
    write_texts(folder, texts)
    write_atomically(folder / "config.yaml", OmegaConf.to_yaml(config).encode())
    for name in ("error.txt", *(("checkpoints", "fields", "history.csv") if anew else ())):
        _remove(folder / name)


def _remove(path: Path) -> None:
    """A file, a folder or a link, where there is one; never what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lengthens(config: DictConfig, folder: Path) -> bool:
    """Whether a configuration asks for more steps than the finished run in a folder has taken."""
    try:
        taken = json.loads((folder / "metrics.json").read_text())["steps"]
        return int(config.trainer.max_steps) > int(taken)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return False


def conclude(
    folder: Path,
    config: dict[str, Any],
    signal: Signal,
    module: FieldModule,
    history: History,
    costs: Figures,
    used: Callable[[], dict[str, float]],
) -> tuple[Figures, dict[str, Path]]:
    """Draw a finished fit; its figures, which are the means over the fields of a stack, and its pictures by name.

    Each field k of a stack leaves ``fields/<name>/``: config.yaml, by which it would be fitted alone, history.csv,
    checkpoints/last.ckpt, pictures and, last, metrics.json. The figures end with the run's `costs` and what it has
    `used` by then, for all its fields together.
    """
    grid = {"shape": list(signal.shape), "every": signal.every}  # for report.pictures.grid
    about = {**module.evaluations[0].described(), "grid": grid}
    if not signal.components():
        found, drawn = _one(folder, module.evaluations[0], module.field, module.scores, history.rows)
        return found | about | costs | used(), drawn
    about["fields"] = len(signal.components())
    figures, pictures = [], dict[str, Path]()
    for k, (name, (own, arguments)) in enumerate(signal.components().items()):
        home, field = folder / "fields" / name, select_fields(module.field, k)
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
        part = {"_target_": f"{type(own).__module__}.{type(own).__qualname__}", **arguments}
        files = {file: digest for file, digest in config["derived"]["files"].items() if file in own.files}
        alone = {**config, "signal": part, "derived": config["derived"] | {"files": files}}
        write_atomically(home / "config.yaml", OmegaConf.to_yaml(alone).encode())
        write_rows(home / "history.csv", history.each[k])
        state = {f"field.{key}": tensor.clone() for key, tensor in field.state_dict().items()}
        AtomicCheckpoints().save_checkpoint({"state_dict": state}, home / "checkpoints" / "last.ckpt")
        found, drawn = _one(home, module.evaluations[k], field, module.each[k], history.each[k])
        write_metrics(home, found | about | costs | used())
        figures.append(found)
        pictures[name] = list(drawn.values())[-1]
    total = {"parameters": sum(found["parameters"] for found in figures)}
    return mean(figures) | total | about | costs | used(), pictures


def _one(
    folder: Path, evaluation: Evaluation, field: CoordinateMLP, scores: Scores, rows: list[dict[str, Any]]
) -> tuple[Figures, dict[str, Path]]:
    """One field's figures, and what is drawn of it."""
    signal, monitor = evaluation.signal, evaluation.monitor
    field.to(signal.extent.device)  # Lightning takes it back to the CPU after a fit
    signal.to(field.head.weight.dtype)
    scores = {**scores, **evaluation.final(field)}
    drawn = evaluation.draw(folder, field, scores)
    values = [row[monitor.key] for row in rows]
    figures = {
        **scores,
        **evaluation.references(),
        f"best_{monitor.key}": min(values) if monitor.direction == "min" else max(values),
        "loss": rows[-1]["loss"],
        "parameters": sum(p.numel() for p in field.parameters()),
    }
    return figures, drawn


def write_metrics(folder: Path, metrics: Figures) -> None:
    """metrics.json, by which a run is a finished one; JSON has no infinity, so that becomes null."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
    write_atomically(folder / "metrics.json", (json.dumps(finite, indent=2) + "\n").encode())
