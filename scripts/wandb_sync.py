"""Uploads runs that W&B logged offline: `python scripts/wandb_sync.py outputs/…`."""

from pathlib import Path

from sinefield.system.script import is_path, parse, run
from sinefield.tracking.sync import sync

USAGE = """\
Uploads the runs in some folders that were made with logger=wandb and are not yet on the server, and says of each what
became of it. Can be repeated: what is already there is not sent again.

  wandb login
  python scripts/wandb_sync.py outputs/fit/…
"""


def main(arguments: list[str]) -> bool:
    """A line per run; whether one is not on the server."""
    _, folders = parse(arguments, "{}", beside=is_path)
    missing = False
    for outcome in sync([Path(folder) for folder in folders]):
        print(f"{outcome.state:13}  {outcome.folder}" + (f"  ({outcome.reason})" if outcome.reason else ""), flush=True)
        missing |= outcome.state not in ("uploaded", "already there")
    return missing


if __name__ == "__main__":
    run(main, USAGE)
