"""Slurm, by submitit, for jobs that may be killed; see conf/hydra/launcher/slurm.yaml."""

import subprocess
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as Launcher

POLL = 1.0  # seconds between two looks
PATIENCE = 20.0  # seconds after which a job that Slurm no longer knows has no result to come: a file server may lag


class SlurmLauncher(Launcher):
    """hydra-submitit-launcher's; it waits for all jobs even where one is killed, and cancels them when it is stopped.

    Submitit learns of a killed job from Slurm's accounting, and waits for ever where a cluster has none. This asks
    `squeue`, which every cluster has.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit an array of jobs and wait until none is left in the queue; what became of each."""
        import submitit  # noqa: PLC0415  Hydra reads this module at every start

        common = BaseQueueConf.__dataclass_fields__  # what submitit calls the same for every cluster
        params = {key if key in common else f"slurm_{key}": value for key, value in self.params.items()}
        executor = submitit.AutoExecutor(
            folder=params.pop("submitit_folder"),
            cluster="slurm",
            slurm_max_num_timeout=params.pop("slurm_max_num_timeout"),
        )
        executor.update_parameters(**params)
        arguments = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs = executor.map_array(self, *zip(*arguments, strict=True))
        for job, overrides in zip(jobs, job_overrides, strict=True):
            print(f"slurm job {job.job_id}: {' '.join(filter_overrides(overrides))}")
        try:
            wait(jobs)
        except BaseException:
            subprocess.run(["scancel", jobs[0].job_id.split("_")[0]], check=False)
            raise
        return [_returned(job) for job in jobs]


def wait(jobs: Sequence[Any]) -> None:
    """Until every job has left its result or is unknown to Slurm."""
    seen = dict.fromkeys((job.job_id for job in jobs), time.monotonic())
    while True:
        missing = [job.job_id for job in jobs if not job.paths.result_pickle.exists()]
        now = time.monotonic()
        seen |= dict.fromkeys(queued(missing), now)
        if not any(now - seen[job] < PATIENCE for job in missing):
            return
        time.sleep(POLL)


def queued(jobs: Sequence[str]) -> list[str]:
    """Those that wait or run; all of them where the controller does not answer.

    A job that a node failed to start is held by Slurm for ever: it is cancelled, which makes it one that has ended.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i|%r", "--me"]  # with --jobs it lists what has ended, too
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode:
        return list(jobs)
    there = [(job, reason) for job, _, reason in (line.partition("|") for line in answer.stdout.split("\n"))]
    stuck = [job for job, reason in there if job in jobs and "launch failed" in reason]
    if stuck:
        print(f"warning: no node could start Slurm job {', '.join(stuck)}; see the logs of slurmd there")
        subprocess.run(["scancel", *stuck], check=False)
    return [job for job, _ in there if job in jobs and job not in stuck]


def _returned(job: Any) -> JobReturn:
    """What a job's process returned; a failure where it left nothing."""
    failure: Exception = RuntimeError(f"Slurm job {job.job_id} ended without a word; see {job.paths.stderr}")
    if job.paths.result_pickle.exists():
        try:
            return job.results()[0]
        except Exception as error:  # submitit's, around whatever the job's was
            failure = error
    return JobReturn(status=JobStatus.FAILED, _return_value=failure)
