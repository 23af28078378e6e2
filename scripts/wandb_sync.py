"""Uploads runs that W&B logged offline: `python scripts/wandb_sync.py outputs/…`."""

import sys
from pathlib import Path

from sinefield.errors import UserError
from sinefield.tracking.sync import sync

USAGE = """\
Uploads the runs in some folders that were made with logger=wandb and are not yet on the server, and says of each what
became of it. Can be repeated: what is already there is not sent again.

  wandb login
  python scripts/wandb_sync.py outputs/fit/…
"""


def main(arguments: list[str]) -> bool:
    """A line per run; whether all are on the server."""
    whole = True
    for outcome in sync([Path(argument) for argument in arguments]):
        print(f"{outcome.state:13}  {outcome.folder}" + (f"  ({outcome.reason})" if outcome.reason else ""), flush=True)
        whole &= outcome.state in ("uploaded", "already there")
    return whole


if __name__ == "__main__":
    if set(sys.argv[1:]) & {"-h", "--help"} or len(sys.argv) == 1:
        sys.exit(USAGE)
    try:
        sys.exit(not main(sys.argv[1:]))
    except (UserError, OSError) as mistake:
        sys.exit(f"error: {mistake}")
