"""Sweeps that may be killed and started again; see conf/hydra/sweeper/resumable.yaml.

This is the package in which Hydra looks for sweepers and launchers. It imports little: Hydra reads it at every start.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override

from sinefield.runs.folders import log_files
from sinefield.runs.overrides import quoted
from sinefield.sweep.jobs import OPEN, Job, conclude, named, stop, stoppable, table

ATTEMPTS = 2  # a job whose process died without a word is tried once more: a neighbour may have taken it along


class Forget(Callback):
    """Drops the configurations from what a job returns, which launchers keep to their end: 0.3 MB a job."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Nobody asks for them: a job's folder has its configuration."""
        job_return.cfg = job_return.hydra_cfg = None


class ResumableSweeper(BasicSweeper):
    """Hydra's sweeper over all combinations, in folders that depend on the configuration alone.

    A job's folder is called after its swept overrides and a digest of its whole composed configuration; the sweep's
    after the swept knobs and a digest of the configuration that its jobs share. Another fixed override, or another
    default in conf/, is another folder. Its arguments are those of conf/hydra/sweeper/resumable.yaml.
    """

    word = "sweep"  # what the folder's name begins with

    def __init__(
        self, max_batch_size: int | None = None, params: dict[str, str] | None = None, folder: str | None = None
    ) -> None:
        super().__init__(max_batch_size, params)
        self.jobs: list[Job] = []
        self.launched: list[Job] = []  # those that are this process's to stop
        self.knobs: dict[str, Override] = {}
        self.swept: list[str] = []
        self.shared: list[str] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Name the folders, then make the launcher, whose own settings may refer to them."""
        self.hydra_context, self.config = hydra_context, config
        hydra_context.callbacks.callbacks.append(Forget())
        parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *config.hydra.overrides.task])
        # A later override of a knob replaces an earlier one, as in Hydra's own sweeper.
        self.knobs = {override.get_key_element(): override for override in overrides}
        self.swept = [key for key, override in self.knobs.items() if override.is_sweep_override()]
        items = [override for key, override in self.knobs.items() if key not in self.swept]
        self.shared = [f"{item.get_key_element()}={item.get_value_element_as_str()}" for item in items]
        words = [self.word, *(key.lstrip("+") for key in self.swept)]
        with flag_override(config, ["struct", "readonly"], [False, False]):
            config.hydra.sweeper.folder = named(words, "\n".join([self._composed(self.shared), *self._identity()]))
            config.hydra.sweep.dir = str(config.hydra.sweep.dir)
        self._plan()
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def _identity(self) -> list[str]:
        """What tells sweeps of one configuration apart: the knobs, but not their values, which may become more."""
        return sorted(self.swept)

    def _plan(self) -> None:
        """Make the jobs."""
        combinations = [list(job) for batch in self.split_arguments(list(self.knobs.values()), None) for job in batch]
        jobs = [self._job(job) for job in combinations]
        self.jobs = list({job.folder: job for job in jobs}.values())  # a value given twice is one job

    def _composed(self, overrides: list[str]) -> str:
        """The configuration of a job as text; a mistake in an override is found here, before anything runs."""
        assert self.hydra_context is not None
        assert self.config is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with flag_override(config, ["struct", "readonly"], [False, False]):
            del config["hydra"]
        return OmegaConf.to_yaml(config, sort_keys=True)

    def _job(self, overrides: list[str]) -> Job:
        assert self.config is not None
        own = [override for override in overrides if override.split("=", 1)[0] in self.swept]
        name = named([override.lstrip("+") for override in own], self._composed(overrides))
        place = {"hydra.sweep.dir": self.config.hydra.sweep.dir, "hydra.sweep.subdir": name}
        placed = [f"{key}={quoted(value)}" for key, value in place.items()]
        placed += ["hydra.output_subdir=null"]  # a job writes its folder's files when it has it to itself
        placed += [f"++hydra.job_logging.handlers.{handler}.delay=true" for handler in log_files(self.config)]
        job = Job([*overrides, *placed], own, Path(self.config.hydra.sweep.dir) / name)
        job.before = job.state == "finished"
        return job

    def sweep(self, arguments: list[str]) -> Any:
        """Run what is not finished; a table of all jobs and the dashboard, whatever happens; raises if one is left."""
        from sinefield.runs.fingerprints import changed  # noqa: PLC0415  needed only now

        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        for job in self.jobs:
            job.changed = changed(job.folder) if job.before else []
        try:
            with stoppable(lambda: stop(self.launched)):
                self._work()
        finally:
            print(table(self.jobs), f"sweep folder  {folder}", sep="\n")
            for line in conclude(self.jobs, folder):
                print(line, file=sys.stderr)
        unfinished = sum(job.state != "finished" for job in self.jobs)
        if unfinished:
            raise CompactHydraException(f"{unfinished} of {len(self.jobs)} jobs did not finish")
        return [job.score for job in self.jobs]

    def _work(self) -> None:
        self._run(self.jobs)

    def _run(self, jobs: Sequence[Job]) -> None:
        """Run those that are neither finished nor being run by somebody else; one that died without a word twice."""
        assert self.launcher is not None
        jobs = [job for job in jobs if job.state not in ("finished", "running")]
        self.launched += jobs
        number = 0
        for attempt in range(ATTEMPTS):
            if not jobs:
                return
            for job in jobs if attempt else ():
                print(f"warning: {' '.join(job.swept)}: {job.error or job.state}; once more", file=sys.stderr)
            overrides = [job.overrides for job in jobs]
            for batch in self.split_overrides_to_chunks(overrides, self.max_batch_size):
                try:
                    self.launcher.launch(batch, initial_job_idx=number)
                except Exception as error:  # the launcher's own; what became of the jobs is in their folders
                    print(f"error: {type(error).__name__}: {' '.join(str(error).split())[:300]}", file=sys.stderr)
                number += len(batch)
            jobs = [job for job in jobs if job.state in OPEN]
