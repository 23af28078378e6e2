"""No signal is lost, wherever the exception that its handler raises is swallowed; each is really sent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from conftest import SMALL

from sinefield.runs import train as run
from sinefield.system.shutdown import Interrupted, Interrupts
from sinefield.system.status import Status, read


def send() -> None:
    """SIGTERM to this process, and time to notice it."""
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass


class Dying:
    def __del__(self) -> None:
        send()


def swallow() -> None:
    with suppress(BaseException):
        send()


@pytest.fixture(params=["finalizer", "swallowed"])
def lose(request, monkeypatch) -> Callable[[], None]:
    """Sends a signal where the exception of its handler goes no further."""
    if request.param == "swallowed":
        return swallow
    monkeypatch.setattr(sys, "unraisablehook", lambda what: None)  # it says so on stderr
    return lambda: Dying() and None


def after(monkeypatch, owner: object, name: str, act: Callable[[], None]) -> None:
    """Let something happen whenever a function has done its work."""
    work = getattr(owner, name)

    def both(*arguments, **options):
        done = work(*arguments, **options)
        act()
        return done

    monkeypatch.setattr(owner, name, both)


def test_a_signal_lost_before_the_first_step_is_obeyed_there(lose, fit, tmp_path, monkeypatch) -> None:
    after(monkeypatch, run, "build_optimizer", lose)
    with pytest.raises(Interrupted) as stopped:
        fit(*SMALL)
    assert stopped.value.code == 143
    assert read(tmp_path / "run")["state"] == "interrupted"
    assert not (tmp_path / "run" / "checkpoints").exists()  # as after a step


def test_a_signal_lost_after_the_last_step_is_obeyed_when_the_run_is_finished(lose, fit, tmp_path, monkeypatch) -> None:
    after(monkeypatch, run, "conclude", lose)
    with pytest.raises(Interrupted):
        fit(*SMALL)
    assert read(tmp_path / "run")["state"] == "finished"


def test_the_next_signal_does_not_disturb_the_tidying_up(fit, tmp_path, monkeypatch) -> None:
    after(monkeypatch, run, "conclude", send)
    after(monkeypatch, Status, "_ended", send)
    with pytest.raises(Interrupted):
        fit(*SMALL)
    assert read(tmp_path / "run")["state"] == "interrupted"


def test_whoever_listened_before_is_told_of_a_signal_that_came_with_an_error(monkeypatch) -> None:
    told = []
    before = signal.signal(signal.SIGTERM, lambda *arguments: told.append(arguments))
    try:
        with suppress(ValueError), Interrupts():
            send()
            assert not told
            raise ValueError("the step failed")
        assert told == [(signal.SIGTERM, None)]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_is_obeyed_at_once() -> None:
    with suppress(Interrupted), Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.pending
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it was not")
