"""An interrupted run that is resumed is one run of W&B's, which has every evaluation once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import SMALL
from processes import TRAIN, run
from script import sync
from wandb_server import serving

from sinefield.errors import UserError
from sinefield.tracking.identity import Identity, fragments, missing

STEPS = [1, 3, 5, 7, 8]  # of the evaluations, as Lightning counts, and of the finished run's numbers
STOPPED = """
import os, runpy, signal
from sinefield.training.data import SignalData

make = SignalData.batch


def batch(self, step):
    if step == int(os.environ["STOP_AT"]):
        os.kill(os.getpid(), getattr(signal, os.environ["STOP_BY"]))
    return make(self, step)


SignalData.batch = batch
runpy.run_path(os.environ["TRAIN"], run_name="__main__")
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Run train.py, ended by a signal in a step."""
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    monkeypatch.setenv("TRAIN", str(TRAIN))
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # of a run in this process: it would outlive what is killed

    def train(*overrides: str, stop: int | None = None, by: str = "SIGTERM") -> None:
        monkeypatch.setenv("STOP_AT", str(-1 if stop is None else stop))
        monkeypatch.setenv("STOP_BY", by)
        done = run(*overrides, script=script, cwd=tmp_path)
        assert done.returncode == (0 if stop is None else {"SIGTERM": 143, "SIGKILL": -9}[by]), done.stderr

    return train


def begun(folder: Path, *overrides: str) -> list[str]:
    steps = ["trainer.max_steps=8", "data.eval_every=2"]
    return [*SMALL, *steps, "logger=wandb", f"hydra.run.dir={folder}", *overrides]


def steps(rows: list[dict]) -> list[int]:
    """The steps whose scores a history has; pictures are rows of their own."""
    return [row["trainer/global_step"] for row in rows if "psnr" in row]


LONG = pytest.mark.nightly  # W&B takes seconds to start and to end


@pytest.mark.parametrize(
    ("mode", "by"),
    [
        ("offline", "SIGKILL"),
        pytest.param("online", "SIGTERM", marks=pytest.mark.slow),
        pytest.param("online", "SIGKILL", marks=LONG),
        pytest.param("offline", "SIGTERM", marks=LONG),
    ],
)
def test_a_resumed_run_is_one_run(standin, trained, tmp_path, mode, by) -> None:
    folder = tmp_path / "run"
    trained(*begun(folder, f"logger.offline={str(mode == 'offline').lower()}"), stop=4, by=by)
    trained(f"resume={folder}", stop=6)
    trained(f"resume={folder}")
    assert sync(tmp_path)[0] == ["uploaded" if mode == "offline" else "already there"]
    (found,) = standin.history.values()
    assert steps(found) == STEPS
    metrics = json.loads((folder / "metrics.json").read_text())
    assert json.loads(*standin.summaries.values())["psnr"] == pytest.approx(metrics["psnr"])
    assert sync(tmp_path)[0] == ["already there"]


@LONG
@pytest.mark.parametrize("order", ["offline online", "online offline", "offline online offline"])
def test_a_run_may_go_on_in_another_mode(standin, trained, tmp_path, monkeypatch, order) -> None:
    folder, modes = tmp_path / "run", order.split()
    for i, mode in enumerate(modes):
        monkeypatch.setenv("WANDB_MODE", mode)
        last = i == len(modes) - 1
        trained(*begun(folder) if i == 0 else [f"resume={folder}"], stop=None if last else 2 + 2 * i)
    assert sync(tmp_path)[0] == ["already there" if modes[-1] == "online" else "uploaded"]
    (found,) = standin.history.values()
    assert steps(found) == STEPS


@LONG
def test_a_server_that_went_away_gets_what_it_has_not(at_server, trained, tmp_path) -> None:
    folder = tmp_path / "run"
    with serving() as server:
        server.leaves_after = "UpsertBucket"
        at_server(server.url)
        trained(*begun(folder, "logger.patience=1", "logger.offline=false"), stop=4)
        assert server.history == {}
        server.leaves_after, server.gone = "", False
        trained(f"resume={folder}")
        (found,) = server.history.values()
        assert steps(found) == STEPS
        assert sync(tmp_path)[0] == ["already there"]


@pytest.mark.slow
def test_a_run_resumed_without_its_server_is_still_one_run(at_server, trained, tmp_path) -> None:
    folder = tmp_path / "run"
    with serving() as server:
        at_server(server.url)
        trained(*begun(folder, "logger.patience=2", "logger.offline=false"), stop=4)
        server.gone = True
        trained(f"resume={folder}")
        server.gone = False
        assert sync(tmp_path)[0] == ["uploaded"]
        (found,) = server.history.values()
        assert steps(found) == STEPS


KEPT = ['{"id": "other77", "step": 5}', *(pytest.param(kept, marks=LONG) for kept in (None, "[", '{"id": "a/b"}'))]


@pytest.mark.slow
@pytest.mark.parametrize("kept", KEPT)
def test_a_changed_or_absent_id_is_a_run_that_has_everything(standin, trained, tmp_path, kept) -> None:
    folder = tmp_path / "run"
    trained(*begun(folder, "logger.offline=true"), stop=4)
    file = folder / "wandb" / "run.json"
    before = json.loads(file.read_text())
    assert before["step"] == 3
    if kept is None:
        file.unlink()
    else:
        file.write_text(kept)
    trained(f"resume={folder}")
    after = json.loads(file.read_text())["id"]
    assert after == "other77" if kept and "other77" in kept else after != before["id"]
    assert sync(tmp_path)[0] == ["uploaded"] * 2
    assert steps(standin.history[after]) == STEPS
    assert steps(standin.history[before["id"]]) == STEPS[:2]


@LONG
def test_the_environment_names_the_run(standin, trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    trained(*begun(tmp_path / "run", "logger.offline=false"))
    assert standin.history.keys() == {"mine"}


def test_a_run_that_begins_anew_is_another_one(fit, tmp_path) -> None:
    """Rows of what has failed would be those of the new attempt."""
    with pytest.raises(UserError, match="try a lower"):
        fit(*SMALL, "logger=wandb", "optimizer.lr=1e30", "trainer.max_steps=50", "data.eval_every=1")
    file = tmp_path / "run" / "wandb" / "run.json"
    before = json.loads(file.read_text())
    fit(*SMALL, "logger=wandb")
    assert json.loads(file.read_text())["id"] != before["id"]


@LONG
def test_an_interruption_before_the_first_evaluation_keeps_the_run(trained, tmp_path) -> None:
    folder = tmp_path / "run"
    trained(*begun(folder, "logger.offline=true"), stop=1, by="SIGKILL")
    trained(f"resume={folder}")
    assert len({path.name.split("-")[-1] for path in folder.glob("wandb/offline-run-*")}) == 1


def test_what_a_server_needs_of_a_run_s_fragments(tmp_path) -> None:
    """None from before one that is there, or began online; and what was lost with a killed one is in the next."""

    def left(*kinds: str) -> list[int]:
        home, files = tmp_path / "-".join(kinds) / "wandb", []
        for i, kind in enumerate(kinds):
            place = home / f"{'run' if 'online' in kind else 'offline-run'}-20260101_00000{i}-abc"
            place.mkdir(parents=True)
            files.append(place / "run-abc.wandb")
            for mark, word in (("synced", "there"), ("ended", "killed")):
                if (word in kind) == (mark == "synced"):
                    (place / f"run-abc.wandb.{mark}").touch()
        (run,) = fragments(files[::-1])
        assert run == files
        return [files.index(file) for file in missing(run)]

    assert left("offline") == [0]
    assert left("offline there") == []
    assert left("offline", "offline") == [0, 1]
    assert left("offline there", "offline") == [1]
    assert left("offline", "online") == [1]
    assert left("offline", "online there") == []
    assert left("online", "offline") == [0, 1]
    assert left("offline", "online there", "offline", "offline") == [2, 3]
    assert left("offline killed") == [0]
    assert left("offline killed", "offline") == [1]
    assert left("offline", "offline killed", "offline") == [0, 2]
    assert left("online killed", "online there", "offline killed") == [2]


def test_an_id_without_its_files_has_been_told_nothing(tmp_path) -> None:
    first = Identity(tmp_path)
    assert (first.new, first.step) == (True, -1)
    first.end(tmp_path / "file", 9)
    again = Identity(tmp_path)
    assert (again.id, again.new, again.step) == (first.id, False, -1)
    place = tmp_path / f"offline-run-20260101_000000-{first.id}"
    place.mkdir()
    (place / f"run-{first.id}.wandb").touch()
    assert Identity(tmp_path).step == 9
