"""Signals that end a run: held until the step is done and its checkpoint written, then obeyed.

An exception that a handler raises is lost where it meets a finalizer, or whoever catches everything. So a signal is
kept until `Interrupted` has ended the run, and obeyed again at the next opportunity where it has not.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(SystemExit):
    """Ends the process with the status that shells expect of a signal: 143 for SIGTERM, 130 for Ctrl-C.

    >>> Interrupted(signal.SIGTERM).code
    143
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


class Interrupts:
    """Answers SIGTERM and Ctrl-C, and SIGUSR2 where somebody else listens to it (a cluster's warning to leave soon).

    From `release` to `defer` a signal raises `Interrupted` at once. While held, it waits for `raise_pending`; a second
    Ctrl-C does not. A signal that somebody else listened to is passed on to them, and where they return, the run goes
    on: that way submitit has its jobs checkpoint and ask for another turn.
    """

    def __init__(self) -> None:
        self._held = True
        self.pending: list[int] = []  # signals that wait; a cluster sends several at once
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python's rule for handlers
            self._before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
            if callable(signal.getsignal(signal.SIGUSR2)):
                self._before[signal.SIGUSR2] = signal.getsignal(signal.SIGUSR2)
            self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        others = any(self._other(number) for number in self.pending)
        if self.pending and (error is None or (others and isinstance(error, Exception))):
            self.raise_pending()

    def defer(self) -> None:
        """From here on signals wait for `raise_pending`, whoever else has begun to listen meanwhile."""
        self._held = True
        self._listen()
        if self.pending:
            self.raise_pending()

    def release(self) -> None:
        """From here on signals are obeyed at once; so is one that has waited."""
        self._held = False
        if self.pending:
            self.raise_pending()

    def raise_pending(self) -> None:
        """Pass on the signals that wait, or raise `Interrupted`; where there are none, another process had SIGTERM."""
        held, self._held = self._held, True  # a second signal must not disturb the tidying up after the first
        waiting = self.pending or [signal.SIGTERM]
        while waiting:
            other = self._other(waiting[0])
            if other is None:
                raise Interrupted(waiting[0])
            other(waiting[0], None)
            del waiting[0]
        self._held = held

    def _other(self, signum: int) -> Callable[[int, FrameType | None], object] | None:
        """Who else listened to a signal."""
        before = self._before.get(signum)
        return before if callable(before) and before is not signal.default_int_handler else None

    def _listen(self) -> None:
        for number in self._before:
            signal.signal(number, self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        impatient = signum == signal.SIGINT and signum in self.pending
        self.pending.append(signum)
        if impatient or not self._held:
            self.raise_pending()
