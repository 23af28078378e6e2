"""Which run of W&B's a run folder is: kept in the folder, so that a resumed run goes on in the same one.

Every process of a run leaves a *fragment*: a folder of W&B's own, ``wandb/[offline-]run-<time>-<id>``. A fragment that
began online has all that the server did not know by then; one that began offline goes on after the one before it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

from sinefield.files import write_whole

FILE = "run.json"  # in the folder's wandb/


class Identity:
    """The id of a run on W&B, and how far it has been told.

    `WANDB_RUN_ID` of the environment comes first, then the id that the folder keeps, then a new one.

    Args:
        home: `wandb/` of the run folder.

    Attributes:
        id: what W&B calls the run.
        new: whether the id was made up just now.
        step: the last step whose metrics an earlier process has logged under this id; -1 for none.
    """

    def __init__(self, home: Path) -> None:
        self.file = home / FILE
        kept, step = _read(self.file)
        chosen = os.environ.get("WANDB_RUN_ID") or kept
        self.new = chosen is None
        self.id = chosen or secrets.token_hex(4)
        begun = any(home.glob(f"*run-*-{self.id}/run-{self.id}.wandb"))  # else the file was copied or edited
        self.step = step if self.id == kept and begun else -1

    def keep(self, step: int) -> None:
        """Write the id down, with the last step that has been logged.

        Raises:
            UnwritableError: there is no room.
        """
        self.step = max(step, self.step)
        write_whole(self.file, (json.dumps({"id": self.id, "step": self.step}) + "\n").encode())


def _read(file: Path) -> tuple[str | None, int]:
    """The id and the step that a file keeps; (None, -1) where it is not there, or no such file."""
    try:
        found = json.loads(file.read_bytes()) if file.is_file() else {}
        run, step = found["id"], found.get("step", -1)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None, -1
    sound = isinstance(run, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", run) is not None
    return (run if sound else None), (step if isinstance(step, int) else -1)


def fragments(files: list[Path]) -> list[list[Path]]:
    """W&B's files, each `…/run-<id>.wandb`, of every run together and in the order in which they were begun."""
    runs: dict[tuple[Path, str], list[Path]] = {}
    for file in sorted(files, key=lambda file: (file.parents[1], file.parent.name.removeprefix("offline-"))):
        runs.setdefault((file.parents[1], file.name), []).append(file)
    return list(runs.values())


def missing(run: list[Path]) -> list[Path]:
    """The fragments of a run that its server needs still: none from before one that is there, or that began online."""
    whole = [i for i, file in enumerate(run) if _there(file) or not file.parent.name.startswith("offline-")]
    return [file for file in run[max(whole, default=0) :] if not _there(file)]


def _there(file: Path) -> bool:
    return Path(f"{file}.synced").exists()
