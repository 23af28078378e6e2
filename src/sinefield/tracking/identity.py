"""Which run of W&B's a run folder is: kept in the folder, so that a resumed run goes on in the same one.

Every process of a run leaves a *fragment*: a folder of W&B's own, ``wandb/[offline-]run-<time>-<id>``. One that began
online logs all that the server did not know by then, one that began offline all that is not in the fragments before it
that ended in order: what a killed process has logged may be lost, and is logged again.
"""

import json
import os
import re
import secrets
from itertools import groupby
from pathlib import Path

from sinefield.system.files import write_atomically

FILE = "run.json"  # in the folder's wandb/


class Identity:
    """The id of a run on W&B, and how far it has been logged.

    `WANDB_RUN_ID` of the environment comes first, then the id that the folder keeps, then a new one.

    Args:
        home: `wandb/` of the run folder.

    Attributes:
        id: what W&B calls the run.
        new: whether the id was made up just now.
        step: the last step in the fragments that ended in order; -1 for none.
    """

    def __init__(self, home: Path) -> None:
        self.file = home / FILE
        kept, step = _read(self.file)
        chosen = os.environ.get("WANDB_RUN_ID") or kept
        self.new = chosen is None
        self.id = chosen or secrets.token_hex(4)
        self._own = chosen in (kept, None)
        begun = any(home.glob(f"*run-*-{self.id}/run-{self.id}.wandb"))  # else the file was copied or edited
        self.step = step if self.id == kept and begun else -1

    def resume(self, offline: bool) -> str | None:
        """What W&B calls `resume`: "allow"; None for a run that is written from its beginning, over what is there."""
        from_beginning = self._own and self.step < 0 if offline else self.new
        return None if from_beginning else "allow"

    def keep(self) -> None:
        """Write the id down."""
        write_atomically(self.file, (json.dumps({"id": self.id, "step": self.step}) + "\n").encode())

    def end(self, fragment: Path, step: int) -> None:
        """Write down that a fragment, W&B's ``…/run-<id>.wandb``, has ended in order, and the last step in it."""
        self.step = max(step, self.step)
        self.keep()
        Path(f"{fragment}.ended").touch()


def _read(file: Path) -> tuple[str | None, int]:
    """The id and the step that a file keeps; (None, -1) where it is not there, or no such file."""
    try:
        content = json.loads(file.read_bytes()) if file.is_file() else {}
        run, step = content["id"], content.get("step", -1)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None, -1
    sound = isinstance(run, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", run) is not None
    return (run if sound else None), (step if isinstance(step, int) else -1)


def fragments(files: list[Path]) -> list[list[Path]]:
    """W&B's files, each `…/run-<id>.wandb`, of every run together and in the order in which they were begun."""

    def run(file: Path) -> tuple[Path, str]:
        return file.parents[1], file.name

    begun = sorted(files, key=lambda file: (*run(file), file.parent.name.removeprefix("offline-")))
    return [list(group) for _, group in groupby(begun, run)]


def missing(run: list[Path]) -> list[Path]:
    """The fragments of a run that its server still needs.

    Not needed are those that did not end in order and were followed by another, and all before one that began online or
    is there.
    """
    synced = {file for file in run if Path(f"{file}.synced").exists()}
    kept = [file for file in run if file in synced or file == run[-1] or Path(f"{file}.ended").exists()]
    full = [i for i, file in enumerate(kept) if file in synced or not file.parent.name.startswith("offline-")]
    return [file for file in kept[max(full, default=0) :] if file not in synced]
