"""A search for the best knobs; see conf/sweep/search.yaml."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import CompactHydraException
from hydra.utils import get_class

from hydra_plugins.sinefield_sweeper import ResumableSweeper
from sinefield.errors import UserError, require
from sinefield.runs.overrides import quoted
from sinefield.sweep.jobs import Job
from sinefield.system.lock import acquired


class SearchSweeper(ResumableSweeper):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011); trials that fall behind the median end early.

    What is known of a trial is in `study.db` of the sweep's folder and in the trial's own run folder. Started again, a
    search resumes the trials that were interrupted, and goes on until there are `trials`; it ends where one is neither
    finished nor failed after all attempts. A proposal is a function of the seed and of the trials known by then. One
    process at a time is at a search: a second one would launch the first one's trials.

    Its arguments are those of conf/sweep/search.yaml; the evaluation says whether more of `metric` is better, or less.
    """

    word = "search"

    def __init__(
        self, trials: int = 40, max_batch_size: int | None = 1, metric: str = "psnr_off_grid", warmup: float = 0.3,
        seed: int = 0, params: dict[str, str] | None = None, folder: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(None, params)
        self.trials, self.batch = trials, max_batch_size or 1
        self.metric, self.warmup, self.seed = metric, warmup, seed

    def _identity(self) -> list[str]:
        """Another space or another metric is another search; more trials are not."""
        return [*sorted(str(self.knobs[key].input_line) for key in self.swept), self.metric, str(self.seed)]

    def _plan(self) -> None:
        """Nothing yet: a trial is made when those before it are known."""

    def sweep(self, arguments: list[str]) -> Any:
        """As any sweep; a `UserError` as Hydra raises its own mistakes, too."""
        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        other = f"{folder} is being searched by another process; wait for it, or choose another hydra.sweep.dir"
        try:
            lock = acquired(folder)
            if lock is None:
                raise UserError(other)
            with lock:
                return super().sweep(arguments)
        except UserError as error:
            raise CompactHydraException(str(error)) from error

    def _work(self) -> None:
        import optuna  # noqa: PLC0415  Hydra reads this module at every start
        from optuna.trial import TrialState  # noqa: PLC0415

        from sinefield.sweep.pruning import open_storage, url  # noqa: PLC0415

        assert self.config is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = url((Path(self.config.hydra.sweep.dir) / "study.db").resolve())
        study = optuna.create_study(
            storage=open_storage(storage), study_name="search", direction=self._direction(), load_if_exists=True
        )
        space = {key: _distribution(self.knobs[key]) for key in self.swept}
        self.jobs += [self._trial(storage, trial) for trial in study.trials]
        left = [trial for trial in study.trials if not trial.state.is_finished()]
        while left or len(study.trials) < self.trials:
            while len(left) < self.batch and len(study.trials) < self.trials:
                study.sampler = optuna.samplers.TPESampler(seed=self.seed + len(study.trials))
                number = study.ask(space).number
                left.append(study.trials[number])
                self.jobs.append(self._trial(storage, left[-1]))
            now, left = left[: self.batch], left[self.batch :]
            self._run([self.jobs[trial.number] for trial in now])
            for trial in now:
                job = self.jobs[trial.number]
                if job.state == "failed":
                    study.tell(trial.number, state=TrialState.FAIL)
                elif job.state == "finished" and study.trials[trial.number].user_attrs.get("behind"):
                    study.tell(trial.number, state=TrialState.PRUNED)
                elif job.state == "finished":
                    value, knob = job.metrics.get(self.metric), f"hydra.sweeper.metric={self.metric}"
                    require(isinstance(value, int | float), f"{knob} is no number of a trial's metrics.json")
                    study.tell(trial.number, value)
            untold = sum(not study.trials[trial.number].state.is_finished() for trial in now)
            require(
                untold == 0,
                f"{untold} of {len(self.jobs)} trials neither finished nor failed; the same command goes on with them",
            )
        if any(trial.state == TrialState.COMPLETE for trial in study.trials):
            best = " ".join(self.jobs[study.best_trial.number].swept)
            print(f"best {self.metric} {study.best_value:.2f}: {best}")

    def _direction(self) -> Any:
        """Optuna's word for what is better of the metric, as the evaluation says."""
        assert self.config is not None
        scores = get_class(self.config.evaluation._target_).shown  # type: ignore[attr-defined]
        directions = {score.key: f"{score.direction}imize" for score in scores if score.direction}
        known = f"{self.metric} is no score of this evaluation; choose from: {', '.join(directions)}"
        require(self.metric in directions, f"hydra.sweeper.metric={known}")
        return directions[self.metric]

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
    assert value.start is not None
    assert value.end is not None
    whole = isinstance(value.start, int) and isinstance(value.end, int)
    kind: Any = distributions.IntDistribution if whole else distributions.FloatDistribution
    return kind(value.start, value.end, log="log" in value.tags)
