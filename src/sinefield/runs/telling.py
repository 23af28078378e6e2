"""What the end of a command tells a person: the results, or one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException

from sinefield.errors import UserError
from sinefield.evaluation.base import Score
from sinefield.system.files import UnwritableError
from sinefield.training.environment import is_rank_zero


@contextmanager
def reraise_for_hydra(folder: Path | None = None) -> Iterator[None]:
    """Raise a `UserError` as Hydra's own mistakes are; where the run in `folder` can go on later, say how."""
    try:
        yield
    except UserError as error:
        begun = folder is not None and any((folder / name).is_file() for name in ("config.yaml", ".hydra/config.yaml"))
        resumable = begun and isinstance(error, UnwritableError)
        later = f"; once that is mended, resume={folder} goes on where it stood" if resumable else ""
        raise CompactHydraException(f"{error}{later}") from error


def show(metrics: dict[str, Any], folder: Path) -> None:
    """Print the results of a finished run, by the process that speaks for it."""
    if is_rank_zero():
        print(table(metrics), f"run folder         {folder}", sep="\n")


def table(metrics: dict[str, Any]) -> str:
    """The results in short, a line each."""

    shown = [Score(**score) for score in metrics["shown"]]
    rows = [("means of fields", f"{metrics['fields']}")] if "fields" in metrics else []
    rows += [(score.name, score.text(metrics[score.key])) for score in shown]
    rows += [
        ("loss", f"{metrics['loss']:.3e}"),
        (
            "steps",
            f"{metrics['steps']} in {metrics['fit_seconds']:.1f} s, {metrics['steps_per_second']:.1f} per second",
        ),
        ("parameters", f"{metrics['parameters']:,d}"),
        ("peak memory", f"{metrics['peak_memory_mb']:,.0f} MB"),
    ]
    width = max(18, *(len(name) for name, _ in rows))  # as wide as "run folder", which follows
    return "\n".join(f"{name:{width}} {text}" for name, text in rows)
