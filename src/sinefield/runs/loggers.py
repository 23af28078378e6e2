"""Loggers behind one face: Lightning's, which also show a run's pictures and end it truthfully."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment  # type: ignore[attr-defined]

from sinefield.errors import UserError, require
from sinefield.system.files import write_atomically, writing
from sinefield.tracking.identity import Identity

# What WANDB_MODE may say, and what of it that means.
MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


class WholeCsv(ExperimentWriter):
    """Lightning's writer, whose files are whole at any moment."""

    def save(self) -> None:
        """All rows so far, if there are any; a column for whatever any of them has."""
        if not self.metrics:
            return
        self._record_new_keys()
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=self.metrics_keys)
        writer.writeheader()
        writer.writerows(self.metrics)
        write_atomically(Path(self.metrics_file_path), text.getvalue().encode())

    def log_hparams(self, params: dict[str, Any]) -> None:
        """The configuration."""
        write_atomically(Path(self.log_dir, self.NAME_HPARAMS_FILE), yaml.safe_dump(params, sort_keys=False).encode())


class Csv(CSVLogger):
    """Lightning's CSV: the evaluations under the same names, in `<run>/csv/metrics.csv`, with the configuration.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: str) -> None:
        shutil.rmtree(Path(folder) / "csv", ignore_errors=True)  # a resumed run tells a new logger all it knew
        super().__init__(save_dir=folder, name="", version="csv")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made when it is first needed."""
        if self._experiment is None:
            with writing(Path(self.log_dir)):
                self._experiment = WholeCsv(log_dir=self.log_dir)
        return self._experiment

    def finalize(self, status: str) -> None:
        """Nothing: Lightning calls it after an error too, which another one in writing would hide; `close` saves."""

    def show(self, pictures: Mapping[str, Path]) -> None:
        """Nothing: the pictures are in the run folder."""

    def close(self, exit_code: int) -> None:
        """Write what is still held back, unless the run has failed, perhaps because nothing can be written."""
        if exit_code == 0:
            self.save()


class Wandb(WandbLogger):
    """Weights & Biases, kept inside the run folder; offline it needs no account and touches no network.

    Online, a server that does not answer within `patience` costs that time and nothing else: at the start the run goes
    on offline, at the end what could not be sent stays in the folder. `scripts/wandb_sync.py` uploads it later. A
    resumed run goes on in the run of W&B's whose id its folder keeps.

    Args:
        folder: the run folder; W&B's own files are in its `wandb/`.
        project: W&B project.
        group: under which W&B shows the runs of one sweep together.
        offline: True keeps everything local; False uploads while training; None for what `WANDB_MODE` of the
            environment says, and True where it says nothing.
        patience: seconds to wait for the server at the start, and four times as many for the last uploads at the end.
    """

    def __init__(
        self,
        folder: str,
        project: str = "sinefield",
        group: str | None = None,
        offline: bool | None = None,
        patience: float = 15,
    ) -> None:
        import wandb  # noqa: PLC0415  only a run that logs to W&B pays for the import

        asked = (os.environ.get("WANDB_MODE") or "offline") if offline is None else "offline" if offline else "online"
        require(asked in MODES, f"WANDB_MODE is {asked!r}; make it online, offline or disabled, or set logger.offline")
        self.mode = MODES[asked]
        with writing(Path(folder, "wandb")):
            Path(folder, "wandb").mkdir(exist_ok=True)
        homes = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")  # else under the user's home
        self.before = {name: os.environ.get(name) for name in (*homes, "WANDB_MODE")}  # the last is set by Lightning
        for name in homes:
            os.environ.setdefault(name, str(Path(folder) / "wandb"))
        settings = wandb.Settings(
            silent=True, console="off", init_timeout=patience, finish_timeout=4 * patience, finish_timeout_raises=True
        )
        settings.mode = self.mode  # type: ignore[assignment]
        self.folder = folder
        self.identity = Identity(Path(folder, "wandb"))
        self.known = self.logged = -1  # the last step that W&B's run has from earlier processes, and from this one
        super().__init__(
            name=Path(folder).name,
            save_dir=folder,
            project=str(project),  # a name may be a number: name=2024
            group=None if group is None else str(group),
            offline=self.mode == "offline",
            id=self.identity.id,
            resume=self.identity.resume(self.mode == "offline"),
            settings=settings,
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run; offline where the server was asked for and is not there. UserError where W&B takes no such run."""
        if self._experiment is None:
            run = self._begin()
            if self.mode != "disabled":
                told = run.summary.get("trainer/global_step") if run.resumed else None  # what the server has
                self.known = self.identity.step if run.settings._offline else told if isinstance(told, int) else -1
                self.identity.keep()
        return self._experiment

    def _begin(self) -> Any:
        """Begin W&B's run, or this process's part of it."""
        import wandb  # noqa: PLC0415

        home = Path(self.folder, "wandb")
        before = set(home.glob("run-*"))
        try:
            return super().experiment
        except wandb.errors.UsageError as error:  # nobody is logged in, or a name it does not like
            said = str(error).strip().splitlines()[0].rstrip(".")
            raise UserError(f"logger=wandb: {said}, or take logger.offline=true") from error
        except wandb.errors.CommError as error:
            said = str(error).splitlines()[0]
            self._say(f"W&B cannot be reached ({said}); going on offline")
            self._wandb_init["settings"].mode = "offline"
            self._wandb_init["resume"] = self.identity.resume(offline=True)
            for stub in set(home.glob("run-*")) - before:  # an empty run that would be uploaded beside the real one
                shutil.rmtree(stub, ignore_errors=True)
            wandb.teardown()  # W&B's service would say that the id is in use
            return super().experiment

    def show(self, pictures: Mapping[str, Path]) -> None:
        """Log the pictures under their names."""
        for name, path in pictures.items():
            self.log_image(f"pictures/{name}", [str(path)])

    def close(self, exit_code: int) -> None:
        """End the run as finished (0) or failed (any other).

        One that is whole on the server is marked so, as `wandb sync` does; where none was begun, nothing is done. The
        environment is what it was, so that the next run in this process finds its own folder.
        """
        try:
            if self._experiment is not None and self.mode == "disabled":
                self._experiment.finish()
            elif self._experiment is not None:
                self._end(self._experiment, exit_code)
        finally:
            for name, value in self.before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})

    def _end(self, run: Any, exit_code: int) -> None:
        file = Path(run.settings.sync_file)
        try:
            run.finish(exit_code=exit_code)
            if not run.settings._offline:
                Path(f"{file}.synced").touch()
        except TimeoutError:
            self._say("W&B did not take all of this run in time")
        self.identity.end(file, self.logged)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, and keep in mind up to which step."""
        super().log_metrics(metrics, step)
        self.logged = max(self.logged, -1 if step is None else step)

    def log_again(self, metrics: Mapping[str, float], step: int) -> None:
        """Log what an earlier process of a resumed run found, unless it has logged it."""
        if self.experiment and step > self.known:  # the former finds out the latter
            self.log_metrics(metrics, step)

    def log_hyperparams(self, params: Any) -> None:
        """The composed configuration as W&B's config."""
        self.experiment.config.update(params, allow_val_change=True)

    def _say(self, what: str) -> None:
        print(f"{what}; later: python scripts/wandb_sync.py {self.folder}", file=sys.stderr)
