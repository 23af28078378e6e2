"""Runs that are killed at any moment, of those in which they write and between: nothing is lost, nothing is half."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from folders import assert_whole, drafts
from lives import Ended, Signalled, begin, end, live
from processes import assert_same, known, start, wait_for
from processes import run as run_whole

from sinefield.system.lock import locked
from sinefield.system.status import read
from sinefield.training import checkpoints

RUN = [
    "signal.size=16", "field.width=8", "field.depth=0", "data.batch_size=16", "trainer.accelerator=cpu",
    "trainer.max_steps=6", "data.eval_every=2",
]  # fmt: skip
SEED = int(os.environ.get("KILLS_SEED", random.SystemRandom().randrange(10**6)))  # of what is random here
ENDS = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15}, signal.SIGINT: {130, -2}}


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> tuple[Path, list[str]]:
    """A run that nobody disturbs, and its moments, their places from its folder on."""
    place = tmp_path_factory.mktemp("undisturbed")
    ended = live(*RUN, f"hydra.run.dir={place / 'run'}", place=place)
    assert ended.status == 0, ended.said
    assert_whole(place / "run")
    return place / "run", [moment.replace(f"{place}/", "") for moment in ended.moments]


@pytest.fixture(scope="module")
def undisturbed(original) -> tuple[dict, int]:
    """What it comes to, and its number of moments."""
    return known(original[0]), len(original[1])


def command(place: Path, run: list[str] = RUN) -> list[str]:
    """What a person would type next."""
    folder = place / "run"
    return [f"resume={folder}"] if (folder / "config.yaml").exists() else [*run, f"hydra.run.dir={folder}"]


def check(place: Path, ended: Ended, signum: signal.Signals, before: str) -> None:
    """After a signal: the exit status is the conventional one, and the folder says what is true.

    `before` is the state it was in: a signal may come before a life has said anything of itself.
    """
    folder = place / "run"
    assert ended.status in ENDS[signum], ended.said
    assert_whole(folder)
    state = read(folder)["state"]
    assert state in ("new", "killed", "interrupted", "finished"), ended.said
    assert (state == "finished") == (folder / "metrics.json").exists()
    if signum != signal.SIGKILL and before != "killed":
        assert not drafts(folder)
        assert state != "killed"


def finish(place: Path, expected: dict, run: list[str] = RUN) -> None:
    """Go on to the end, which is the undisturbed one."""
    folder = place / "run"
    if read(folder)["state"] != "finished":
        ended = live(*command(place, run), place=place)
        assert ended.status == 0, ended.said
        assert not drafts(folder)
    assert_whole(folder)
    assert_same(expected, known(folder))


def stories(tmp_path: Path, seed: int, kills: int, undisturbed: tuple[dict, int]) -> None:
    """Runs killed and restarted, each time at a random moment by a random signal, until so many kills are survived."""
    expected, moments = undisturbed
    draw, survived, number = random.Random(seed), 0, 0
    print(f"KILLS_SEED={seed}")
    while survived < kills:
        number += 1
        place = tmp_path / str(number)
        place.mkdir()
        while (before := read(place / "run")["state"]) != "finished":
            at, signum = draw.randint(1, moments), draw.choice(list(ENDS))
            ended = live(*command(place), place=place, at=at, fault=Signalled(signum))
            if ended.status == 0:  # there were not so many moments left
                break
            survived += 1
            print(f"{number}.{survived:<3} {signum.name:8} {ended.moments[at - 1]}")
            check(place, ended, signum, before)
        finish(place, expected)


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_runs_killed_at_random_moments_by_signals_of_all_kinds(kills, undisturbed, tmp_path) -> None:
    stories(tmp_path, SEED, kills, undisturbed)


def test_a_run_told_to_stop_while_it_says_that_it_is_running(original, tmp_path) -> None:
    at = original[1].index("os.remove run/status.json") + 1
    ended = live(*command(tmp_path), place=tmp_path, at=at, fault=Signalled(signal.SIGTERM))
    check(tmp_path, ended, signal.SIGTERM, before="new")


def test_a_run_killed_while_it_calls_itself_finished(undisturbed, tmp_path) -> None:
    expected, moments = undisturbed
    for at in (moments - 2, moments):  # metrics.json is forced to the disk, renamed, let go
        place = tmp_path / str(at)
        place.mkdir()
        ended = live(*command(place), place=place, at=at, fault=Signalled(signal.SIGKILL))
        assert ended.moments[-1].endswith("run/metrics.json")
        check(place, ended, signal.SIGKILL, before="new")
        finish(place, expected)


def test_a_repetition_killed_while_it_is_compared_is_compared_by_the_next_process(original, tmp_path) -> None:
    at = 0
    for name in ("whole", "killed"):
        place = tmp_path / name
        place.mkdir()
        repeat = [f"repeat={original[0]}", f"hydra.run.dir={place / 'run'}"]
        ended = live(*repeat, place=place, at=at, fault=Signalled(signal.SIGKILL))
        at = len(ended.moments) - 2  # of what follows: the report is forced to the disk, renamed, let go
    assert ended.moments[-1] == f"fsync {place / 'run' / 'repeat.json'}"
    assert drafts(place / "run")
    assert live(*command(place), place=place).said.endswith("identical: every weight, score and row of the history\n")
    assert_whole(place / "run")
    assert live(*command(place), place=place).said.endswith(
        "nothing to resume, unless trainer.max_steps=… makes it longer\n"
    )


def longer(original: Path, place: Path, at: int = 0) -> Ended:
    """A finished run made longer, which is killed at a moment and asked for again."""
    place.mkdir()
    shutil.copytree(original, place / "run")
    asked = [f"resume={place / 'run'}", "trainer.max_steps=10"]
    ended = live(*asked, place=place, at=at, fault=Signalled(signal.SIGKILL) if at else None)
    assert_whole(place / "run")
    found = checkpoints.read(place / "run" / "checkpoints" / "last.ckpt")["global_step"]
    assert found >= 6
    if read(place / "run")["state"] != "finished" or found < 10:
        again = live(*asked, place=place)
        assert again.status == 0, again.said
        assert not drafts(place / "run")
    return ended


def each_comes_to_the_same(original: Path, tmp_path: Path, every: int) -> None:
    moments = len(longer(original, tmp_path / "whole").moments)
    for at in range(1, moments + 1, every):
        ended = longer(original, tmp_path / str(at), at)
        print(f"{at}/{moments}", ended.moments[-1])
        assert_same(known(tmp_path / "whole" / "run"), known(tmp_path / str(at) / "run"))


@pytest.mark.slow
def test_a_finished_run_killed_while_it_is_made_longer(original, tmp_path) -> None:
    each_comes_to_the_same(original[0], tmp_path, every=25)


@pytest.mark.nightly
def test_a_finished_run_killed_at_each_moment_of_being_made_longer(original, tmp_path) -> None:
    each_comes_to_the_same(original[0], tmp_path, every=1)


@pytest.mark.nightly
def test_many_more_of_them(undisturbed, tmp_path) -> None:
    stories(tmp_path, SEED + 1, 60, undisturbed)


@pytest.mark.nightly
def test_a_run_killed_at_each_of_its_moments_in_turn(undisturbed, tmp_path) -> None:
    expected, moments = undisturbed
    for at in range(1, moments + 1):
        place = tmp_path / str(at)
        place.mkdir()
        ended = live(*command(place), place=place, at=at, fault=Signalled(signal.SIGKILL))
        print(f"{at}/{moments}", ended.moments[-1])
        check(place, ended, signal.SIGKILL, before="new")
        finish(place, expected)


@pytest.mark.nightly
def test_runs_killed_after_random_times(tmp_path) -> None:
    long = [*RUN, "trainer.max_steps=300", "data.eval_every=10"]
    place, draw = tmp_path / "undisturbed", random.Random(SEED + 2)
    place.mkdir()
    started = time.monotonic()
    assert live(*long, f"hydra.run.dir={place / 'run'}", place=place).status == 0
    seconds, expected = time.monotonic() - started, known(place / "run")
    for number in range(50):
        place = tmp_path / str(number)
        place.mkdir()
        process, signum = begin(*command(place, long), place=place), draw.choice(list(ENDS))
        process.join(draw.uniform(0, seconds))
        with suppress(ProcessLookupError):  # it was faster
            os.kill(process.pid, signum)
        ended = end(process, place)
        print(f"{number} {signum.name:8} {ended.status}", *ended.moments[-1:])
        if ended.status:
            check(place, ended, signum, "new")
        finish(place, expected, long)


def working(folder: Path) -> list[Path]:
    """The jobs of a sweep that a living process is at."""
    return [job for job in folder.glob("*/") if locked(job)]


@pytest.mark.nightly
def test_a_sweep_side_by_side_whose_processes_are_killed_as_if_out_of_memory(tmp_path) -> None:
    jobs = ["-m", *RUN, "trainer.max_steps=300", "data.eval_every=20", "logger=none", "seed=1,2,3,4"]
    whole, folder, draw = tmp_path / "whole", tmp_path / "killed", random.Random(SEED + 3)
    done = run_whole(*jobs, f"hydra.sweep.dir={whole}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = [*jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={folder}"]
    survived = 0
    while survived < 8 and len(list(folder.glob("*/metrics.json"))) < 4:
        with start(*command, cwd=tmp_path) as process:
            wait_for(lambda process=process: working(folder) or process.poll() is not None)
            time.sleep(draw.uniform(0, 2))
            pids = [read(job)["pid"] for job in working(folder)]
            victim = draw.choice([*pids, process.pid])
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                survived += 1
                print(survived, "the parent" if victim == process.pid else "a worker")
            process.wait()
        wait_for(lambda: not working(folder), seconds=20)
        for job in folder.glob("*/"):
            assert_whole(job)
    done = run_whole(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for job in whole.glob("seed=*"):
        assert_same(known(job), known(folder / job.name))
