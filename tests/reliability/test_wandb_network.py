"""A W&B server that hangs, fails or talks nonsense: no run waits for it while it trains, none dies of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import ROOT
from wandb_server import Server, babble, fail, hang, hang_up, serving

PATIENCE = 3  # seconds; the run waits so long for the server to begin with, and four times as long in the end
LONG = [
    "signal.size=32", "field.width=64", "field.depth=1", "trainer.max_steps=800", "data.eval_every=40",
    "trainer.accelerator=cpu", "logger=wandb", "logger.offline=false", f"logger.patience={PATIENCE}",
]  # fmt: skip
TIMED = """
import runpy, sys, time
from sinefield.runs.loggers import Wandb

log, spent = Wandb.log_metrics, []
def timed(*arguments, **more):
    began = time.perf_counter()
    log(*arguments, **more)
    spent.append(time.perf_counter() - began)
Wandb.log_metrics = timed
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("logged", len(spent), sum(spent))
"""


def answers(server: Server) -> None:
    """As it should."""


def gone(instead: Callable) -> Callable[[Server], None]:
    def arrange(server: Server) -> None:
        server.gone, server.instead = True, instead

    return arrange


def leaving(instead: Callable) -> Callable[[Server], None]:
    def arrange(server: Server) -> None:
        server.leaves_after, server.instead = "UpsertBucket", instead

    return arrange


CASES = {
    "it answers": answers,
    **{f"{how.__name__} from the start": gone(how) for how in (hang_up, hang, fail, babble)},
    **{f"{how.__name__} once the run has begun": leaving(how) for how in (hang_up, hang, fail, babble)},
}


@pytest.mark.nightly
@pytest.mark.parametrize("case", CASES)
def test_a_run_is_finished_and_was_not_slowed_by_its_logger(case, at_server, tmp_path) -> None:
    folder = tmp_path / "run"
    with serving() as server:
        CASES[case](server)
        at_server(server.url)
        command = [sys.executable, "-c", TIMED, str(ROOT / "train.py"), *LONG, f"hydra.run.dir={folder}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    calls, seconds = done.stdout.splitlines()[-1].split()[1:]
    steps = metrics["fit_seconds"]
    share, beside = float(seconds) / steps, metrics["wall_seconds"] - steps
    print(f"{case:35} {share:6.2%} of the {steps:4.1f} s of steps spent in logging; {beside:3.0f} s beside them")
    assert int(calls) == 20 + 8 + 1  # evaluations, pictures, the end
    assert share < 0.05
