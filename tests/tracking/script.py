"""Runs scripts/wandb_sync.py as a person does: W&B's client has one server per process."""

from __future__ import annotations

from pathlib import Path

from conftest import ROOT
from processes import run


def sync(folder: Path) -> tuple[list[str], str]:
    """What became of each run, in words, and what went wrong."""
    done = run(str(folder), script=ROOT / "scripts" / "wandb_sync.py", cwd=folder)
    states = [line[:13].strip() for line in done.stdout.splitlines()]
    whole = bool(states) and set(states) <= {"uploaded", "already there"}
    assert done.returncode == (0 if whole else 1)
    return states, done.stderr
