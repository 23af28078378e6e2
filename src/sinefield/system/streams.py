"""Standard output and standard error that no run depends on: closed, broken or full, they lose text, no more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any


class Unfailing:
    """A text stream that drops what the one below does not take; None, Python's for a closed one, takes nothing."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.stream: Any = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115  held for good

    def write(self, text: str) -> int:
        """As of any text stream."""
        self._tried("write", text)
        return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        self._tried("flush")

    def isatty(self) -> bool:
        """Whether a person watches."""
        return bool(self._tried("isatty"))

    def _tried(self, name: str, *arguments: str) -> Any:
        with suppress(OSError, ValueError):  # broken or full; closed
            return getattr(self.stream, name)(*arguments)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self.stream, name)


def protect_process() -> None:
    """Make both streams of this process unfailing, to its end.

    Descriptors 0 to 2 that are closed lead to the null device from here on: otherwise the next file that is opened,
    such as a checkpoint, would have such a number, and would receive what C libraries and subprocesses print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free is this one
    sys.stdout, sys.stderr = unfailing(sys.stdout), unfailing(sys.stderr)


@contextmanager
def unfailing_output() -> Iterator[None]:
    """Within it both streams are unfailing."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(unfailing, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unfailing(stream: IO[str] | None) -> Any:
    """The stream, as an `Unfailing` one."""
    return stream if isinstance(stream, Unfailing) else Unfailing(stream)
