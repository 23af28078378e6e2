"""What the end of a command tells a person: the results, or one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException

from sinefield.errors import UserError
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

    def row(name: str, key: str, form: str) -> str:
        value = metrics[key]
        return f"{name:18} {'-' if value is None else format(value, form)}"

    several = [row("means of fields", "fields", "d")] if "fields" in metrics else []
    return "\n".join(
        [
            *several,
            row("PSNR on samples", "psnr", ".2f") + " dB",
            row("PSNR between", "psnr_off_grid", ".2f") + (" dB" if metrics["psnr_off_grid"] is not None else ""),
            row("  of the spline", "psnr_off_grid_spline", ".2f")
            + (" dB" if metrics["psnr_off_grid_spline"] is not None else ""),
            row("SSIM", "ssim", ".4f"),
            row("loss", "loss", ".3e"),
            row("steps", "steps", "d")
            + f" in {metrics['fit_seconds']:.1f} s, {metrics['steps_per_second']:.1f} per second",
            row("parameters", "parameters", ",d"),
            row("peak memory", "peak_memory_mb", ",.0f") + " MB",
        ]
    )
