"""Lightning's loggers, which also `show` a run's pictures and `close` it as what it was; one process has them."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger, WandbLogger

from sinefield.errors import UserError, require
from sinefield.system.files import write_atomically, writing
from sinefield.tracking.identity import Identity
from sinefield.training.callbacks import write_rows

# What WANDB_MODE may be, and what it means.
MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


class Csv(Logger):
    """The evaluations under the names that Lightning logs, in `<run>/csv/metrics.csv`, with the configuration."""

    name, version = "", "csv"

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder) / "csv"
        self.rows: list[dict[str, Any]] = []
        shutil.rmtree(self.folder, ignore_errors=True)  # a resumed run tells a new logger all it knew

    def log_hyperparams(self, params: Any) -> None:
        """The composed configuration as hparams.yaml."""
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        write_atomically(self.folder / "hparams.yaml", OmegaConf.to_yaml(params).encode())

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A row more; a column for whatever any of them has."""
        self.rows.append({**metrics, "step": step})
        columns = sorted(set().union(*self.rows))
        write_rows(self.folder / "metrics.csv", [{name: row.get(name) for name in columns} for row in self.rows])

    def show(self, pictures: Mapping[str, Path]) -> None:
        """Nothing: the pictures are in the run folder."""

    def close(self, exit_code: int) -> None:
        """Nothing: all is written."""


class Wandb(WandbLogger):
    """Weights & Biases, kept inside the run folder; offline it needs no account and touches no network.

    Online, a server that does not answer within `patience` costs that time and nothing else: at the start the run goes
    on offline, at the end what could not be sent stays in the folder. `scripts/wandb_sync.py` uploads it later. A
    resumed run goes on in the run of W&B's whose id its folder keeps. Its arguments are those of
    conf/logger/wandb.yaml; the last uploads at the end may take four times `patience` seconds.
    """

    def __init__(
        self, folder: str, project: str = "sinefield", group: str | None = None, offline: bool | None = None,
        patience: float = 15,
    ) -> None:  # fmt: skip
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
        import wandb  # noqa: PLC0415

        home = Path(self.folder, "wandb")
        before = set(home.glob("run-*"))
        try:
            return super().experiment
        except wandb.errors.UsageError as error:  # nobody is logged in, or a name it does not like
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise UserError(f"logger=wandb: {reason}, or take logger.offline=true") from error
        except wandb.errors.CommError as error:
            self._warn(f"W&B cannot be reached ({str(error).splitlines()[0]}); going on offline")
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
        """End the run, where one was begun, as finished (0) or failed; one that the server has is marked as `synced`.

        The environment is what it was, so that the next run in this process finds its own folder.
        """
        run = self._experiment
        try:
            if run is not None:
                run.finish(exit_code=exit_code)
                if self.mode != "disabled" and not run.settings._offline:
                    Path(f"{run.settings.sync_file}.synced").touch()
        except TimeoutError:
            self._warn("W&B did not take all of this run in time")
        finally:
            for name, value in self.before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})
        if run is not None and self.mode != "disabled":
            self.identity.end(Path(run.settings.sync_file), self.logged)

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

    def _warn(self, what: str) -> None:
        print(f"{what}; later: python scripts/wandb_sync.py {self.folder}", file=sys.stderr)
