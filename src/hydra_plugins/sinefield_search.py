"""A search for the best knobs; see conf/sweep/search.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import CompactHydraException

from hydra_plugins.sinefield_sweeper import ResumableSweeper, quoted
from sinefield.errors import UserError, require
from sinefield.sweep.jobs import Job
from sinefield.system.lock import acquired


class SearchSweeper(ResumableSweeper):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011); trials that fall behind the median end early.

    What is known of a trial is in `study.db` of the sweep's folder and in the trial's own run folder. Started again, a
    search resumes the trials that were interrupted, and goes on until there are `trials`; it ends where one is neither
    finished nor failed after all attempts. A proposal is a function of the seed and of the trials known by then. One
    process at a time is at a search: a second one would launch the first one's trials.

    Args:
        trials: in all.
        max_batch_size: trials proposed and launched at once, for launchers that run jobs side by side.
        metric: of metrics.json.
        direction: max or min: whether more of it is better, or less.
        warmup: share of the steps before which no trial is stopped.
        seed: of the proposals.
        params: knob: `interval(low, high)`, `tag(log, interval(low, high))`, `int(interval(1, 4))` or a comma list.
        folder: set here, for hydra.sweep.dir to refer to.
    """

    word = "search"

    def __init__(
        self, trials: int = 40, max_batch_size: int | None = 1, metric: str = "psnr_off_grid", direction: str = "max",
        warmup: float = 0.3, seed: int = 0, params: dict[str, str] | None = None, folder: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(None, params)
        self.trials = trials
        self.batch = max_batch_size or 1
        require(direction in ("max", "min"), f"hydra.sweeper.direction must be max or min, not {direction!r}")
        self.metric = metric
        self.direction = direction
        self.warmup = warmup
        self.seed = seed

    def _identity(self) -> list[str]:
        """Another space or another metric is another search; more trials are not."""
        return [
            *sorted(str(self.knobs[key].input_line) for key in self.swept),
            self.metric,
            self.direction,
            str(self.seed),
        ]

    def _plan(self) -> None:
        """Nothing yet: a trial is made when those before it are known."""

    def sweep(self, arguments: list[str]) -> Any:
        """As any sweep.

        Raises:
            CompactHydraException: also for a `UserError`, as Hydra's own mistakes are told.
        """
        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = acquired(folder)
            if lock is None:
                raise UserError(
                    f"{folder} is being searched by another process; wait for it, or choose another hydra.sweep.dir"
                )
            with lock:
                return super().sweep(arguments)
        except UserError as error:
            raise CompactHydraException(str(error)) from error

    def _work(self) -> None:
        import optuna  # noqa: PLC0415  Hydra reads this module at every start

        from sinefield.sweep.pruning import open_storage, url  # noqa: PLC0415

        assert self.config is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = url((Path(self.config.hydra.sweep.dir) / "study.db").resolve())
        directions = {"max": optuna.study.StudyDirection.MAXIMIZE, "min": optuna.study.StudyDirection.MINIMIZE}
        study = optuna.create_study(
            storage=open_storage(storage),
            study_name="search",
            direction=directions[self.direction],
            load_if_exists=True,
        )
        space = {key: _distribution(self.knobs[key]) for key in self.swept}
        for trial in study.trials:
            job = self._trial(storage, trial)
            self.jobs.append(job)
        left = [trial for trial in study.trials if not trial.state.is_finished()]
        while left or len(study.trials) < self.trials:
            while len(left) < self.batch and len(study.trials) < self.trials:
                study.sampler = optuna.samplers.TPESampler(seed=self.seed + len(study.trials))
                asked = study.ask(space)
                left.append(study.trials[asked.number])
                self.jobs.append(self._trial(storage, left[-1]))
            now, left = left[: self.batch], left[self.batch :]
            jobs = [self.jobs[trial.number] for trial in now]
            self._run([job for job in jobs if job.state not in ("finished", "running")])
            states = optuna.trial.TrialState
            for trial, job in zip(now, jobs, strict=True):
                if job.state == "failed":
                    study.tell(trial.number, state=states.FAIL)
                elif job.state == "finished":
                    value = job.metrics.get(self.metric)
                    require(
                        isinstance(value, int | float),
                        f"hydra.sweeper.metric={self.metric} is no number of a trial's metrics.json",
                    )
                    behind = study.trials[trial.number].user_attrs.get("behind")
                    study.tell(trial.number, None if behind else value, states.PRUNED if behind else states.COMPLETE)
            untold = sum(not study.trials[trial.number].state.is_finished() for trial in now)
            require(
                untold == 0,
                f"{untold} of {len(self.jobs)} trials neither finished nor failed; the same command goes on with them",
            )
        best = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
        if best:
            print(f"best {self.metric} {study.best_value:.2f}: {' '.join(self.jobs[study.best_trial.number].swept)}")

    def _trial(self, storage: str, trial: Any) -> Job:
        """The job of a trial, with the callback that compares it to the others while it trains."""
        callback = {
            "_target_": "sinefield.sweep.pruning.Prune",
            "storage": quoted(storage),
            "trial": trial._trial_id,
            "metric": self.metric,
            "warmup": self.warmup,
        }
        swept = [f"{key}={value}" for key, value in trial.params.items()]
        return self._job([*self.shared, *swept, *(f"+callback.{key}={value}" for key, value in callback.items())])


def _distribution(override: Override) -> Any:
    """Optuna's description of what a knob may be."""
    from optuna import distributions  # noqa: PLC0415

    value = override.value()
    if not isinstance(value, IntervalSweep):
        return distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    low, high, log = value.start, value.end, "log" in value.tags
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int):
        return distributions.IntDistribution(low, high, log=log)
    return distributions.FloatDistribution(low, high, log=log)
