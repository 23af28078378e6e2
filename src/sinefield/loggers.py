"""Loggers behind one face: Lightning's, which also show a run's pictures and end it truthfully."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, WandbLogger


class Csv(CSVLogger):
    """Lightning's CSV: the evaluations under the same names, in `<run>/csv/metrics.csv`, with the configuration.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: str) -> None:
        shutil.rmtree(Path(folder) / "csv", ignore_errors=True)  # a resumed run tells a new logger all it knew
        super().__init__(save_dir=folder, name="", version="csv")

    def show(self, pictures: Mapping[str, Path]) -> None:
        """Nothing: the pictures are in the run folder."""

    def close(self, exit_code: int) -> None:
        """Write what is still held back."""
        self.save()


class Wandb(WandbLogger):
    """Weights & Biases, kept inside the run folder; offline it needs no account and touches no network.

    Args:
        folder: the run folder; W&B's own files are in its `wandb/`.
        project: W&B project.
        group: under which W&B shows the runs of one sweep together.
        offline: True keeps everything local, for `wandb sync` later; False uploads while training.
    """

    def __init__(self, folder: str, project: str = "sinefield", group: str | None = None, offline: bool = True) -> None:
        import wandb  # noqa: PLC0415  only a run that logs to W&B pays for the import

        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):  # else under the user's home
            os.environ.setdefault(name, str(Path(folder) / "wandb"))
        Path(folder, "wandb").mkdir(exist_ok=True)
        settings = wandb.Settings(silent=True, console="off", init_timeout=30)
        name = Path(folder).name
        super().__init__(name=name, save_dir=folder, project=project, group=group, offline=offline, settings=settings)

    def show(self, pictures: Mapping[str, Path]) -> None:
        """Log the pictures under their names."""
        for name, path in pictures.items():
            self.log_image(f"pictures/{name}", [str(path)])

    def close(self, exit_code: int) -> None:
        """End the run as finished (0) or failed (any other)."""
        self.experiment.finish(exit_code=exit_code)

    def log_hyperparams(self, params: Any) -> None:
        """The composed configuration as W&B's config."""
        self.experiment.config.update(params, allow_val_change=True)
