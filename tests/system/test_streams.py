"""No run depends on what it prints to: closed, broken or full output neither ends nor fails one."""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import SMALL
from processes import TRAIN, run

from sinefield.system.streams import Unfailing, unfailing_output


def broken() -> io.TextIOBase:
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", buffering=1)


def closed() -> io.TextIOBase:
    with open(os.devnull, "w") as stream:
        return stream


def full() -> io.TextIOBase:
    return open("/dev/full", "w", buffering=1)


STREAMS = {"none": lambda: None, "closed": closed, "broken": broken, "full": full}
FORGOTTEN = "ignore::pytest.PytestUnraisableExceptionWarning"  # the null device in the place of no stream


@pytest.fixture
def opened():
    """Opens one of `STREAMS`; all are closed at the end, which fails where what was written cannot be."""
    streams = []

    def open_one(make):
        streams.append(make())
        return streams[-1]

    yield open_one
    for stream in filter(None, streams):
        with suppress(OSError, ValueError):
            stream.close()
    gc.collect()  # here, not in another test


@pytest.mark.parametrize("err", STREAMS)
@pytest.mark.parametrize("out", ["none", "full"])
@pytest.mark.filterwarnings(FORGOTTEN)
def test_a_run_ends_well_whatever_the_streams_are(fit, monkeypatch, opened, out, err) -> None:
    streams = opened(STREAMS[out]), opened(STREAMS[err])
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", streams[0])
        patched.setattr(sys, "stderr", streams[1])
        metrics = fit(*SMALL, "logger=none")
        assert (sys.stdout, sys.stderr) == streams
    assert metrics["steps"] == 2
    assert json.loads((metrics["folder"] / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("make", STREAMS.values(), ids=STREAMS)
@pytest.mark.filterwarnings(FORGOTTEN)
def test_an_unfailing_stream_is_a_stream(opened, make) -> None:
    stream = Unfailing(opened(make))
    assert stream.write("text") == 4
    print("more", file=stream, flush=True)
    assert stream.isatty() is False


def test_what_can_be_written_is(capsys) -> None:
    with unfailing_output():
        print("out")
        print("err", file=sys.stderr)
    assert capsys.readouterr() == ("out\n", "err\n")


PROBE = """
import contextlib, os, sys
sys.path.insert(0, {home!r})
from sinefield.system.streams import protect_process
protect_process()
file = open({file!r}, "wb")
file.write(b"checkpoint")
for number in (1, 2):
    with contextlib.suppress(OSError):
        os.write(number, b"from C")
print("text", flush=True)
print("text", file=sys.stderr)
sys.exit(0 if file.fileno() > 2 else 9)
"""


@pytest.mark.parametrize("shell", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true"])
def test_a_file_never_gets_what_is_printed(tmp_path, shell) -> None:
    """A file opened where standard error is closed would have its number."""
    file, script = tmp_path / "last.ckpt", tmp_path / "probe.py"
    script.write_text(PROBE.format(home=str(TRAIN.parent / "src"), file=str(file)))
    command = f'set -o pipefail; "{sys.executable}" "{script}" {shell}'
    done = subprocess.run(["bash", "-c", command], check=False, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert file.read_bytes() == b"checkpoint"


CLOSED = """
import os, runpy, sys
os.close(2)
sys.stderr = sys.__stderr__ = None
runpy.run_path({train!r}, run_name="__main__")
"""


def test_the_command_ends_with_0_where_standard_error_is_closed(tmp_path) -> None:
    """As Python itself begins there, which is tried every night."""
    (tmp_path / "closed.py").write_text(CLOSED.format(train=str(TRAIN)))
    done = run(*SMALL, "logger=none", "hydra.run.dir=run", script=tmp_path / "closed.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "run" / "metrics.json").is_file()
    assert not (tmp_path / "run" / "error.txt").exists()


@pytest.mark.parametrize(
    "shell",
    [
        pytest.param("2>&-", marks=pytest.mark.nightly),
        pytest.param(">/dev/full", marks=pytest.mark.nightly),
        pytest.param(">&- 2>&- <&-", marks=pytest.mark.nightly),
        pytest.param("2>/dev/full", marks=pytest.mark.nightly),
        pytest.param("| true", marks=pytest.mark.nightly),
        pytest.param("2> >(true)", marks=pytest.mark.nightly),
    ],
)
def test_the_command_ends_with_0(tmp_path: Path, shell) -> None:
    overrides = " ".join([*SMALL, "logger=none", f"hydra.run.dir={tmp_path / 'run'}"])
    command = f'set -o pipefail; "{sys.executable}" "{TRAIN}" {overrides} {shell}'
    done = subprocess.run(["bash", "-c", command], check=False, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
    assert (tmp_path / "run" / "metrics.json").is_file()
    assert not (tmp_path / "run" / "error.txt").exists()
