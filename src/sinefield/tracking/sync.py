"""Uploading runs that were made offline, or whose server went away.

W&B marks what is on its server with a file `….wandb.synced` beside the run's own; so does the logger `Wandb` for a
run that was online to its end. What has no such mark is uploaded by W&B's own `wandb sync`.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

from sinefield.errors import UserError, require
from sinefield.report.runs import read
from sinefield.tracking.identity import fragments, missing

LONGEST = 600  # seconds for one run; `wandb sync` repeats for long by itself


class Outcome(NamedTuple):
    """What became of one run: "uploaded", "already there", "still running", or "failed" with the reason."""

    folder: Path
    state: str
    reason: str = ""


def sync(folders: Sequence[str | Path], patience: float = 10) -> Iterator[Outcome]:
    """Upload what is not yet there of all runs in some folders and below, one after the other.

    Args:
        folders: searched recursively.
        patience: seconds to wait for the server to answer at all.

    Raises:
        UserError: a folder is missing, none has a run logged by W&B, or the server does not answer.
    """
    for folder in folders:
        require(Path(folder).is_dir(), f"{folder} is no folder; give the folder of a run or of a sweep")
    files = {file.resolve() for folder in folders for file in Path(folder).rglob("wandb/*run-*/run-*.wandb")}
    where = ", ".join(map(str, folders))
    require(bool(files), f"{where}: no run in it was logged by W&B; train with logger=wandb")
    reached = False
    for run in fragments(list(files)):
        home, left = run[0].parents[2], missing(run)
        if not left:
            yield Outcome(home, "already there")
        elif read(home).status == "running":
            yield Outcome(home, "still running")
        else:
            if not reached:
                _reach(patience)
            reached = True
            yield _upload(left, home)


def _reach(patience: float) -> None:
    """Ask whether anybody listens, since `wandb sync` itself would try for minutes."""
    import wandb  # noqa: PLC0415  takes a second; what is already there is known without it

    url = urlparse(wandb.setup().settings.base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=patience).close()
    except OSError as error:
        raise UserError(f"W&B at {url.geturl()} does not answer ({error}); nothing was changed, try again") from error


def _upload(files: list[Path], folder: Path) -> Outcome:
    """Upload some fragments of one run, which W&B does in their order."""
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", *(str(file.parent) for file in files)]
    # Online, whatever the run was made with; and W&B's own notes stay in the run folder.
    online = os.environ | {"WANDB_MODE": "online", "WANDB_DIR": str(folder)}
    online.pop("WANDB_SERVICE", None)  # this process's own, which the other would wait for
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST, env=online, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(folder, "failed", f"not done after {LONGEST} s")
    if done.returncode == 0 and all(Path(f"{file}.synced").exists() for file in files):
        return Outcome(folder, "uploaded")
    lines = [line.removeprefix("wandb: ").strip() for line in done.stderr.splitlines() if line.strip()]
    return Outcome(folder, "failed", lines[-1] if lines else f"wandb sync ended with {done.returncode}")
