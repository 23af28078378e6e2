"""Creates the W&B workspace of this project: `python scripts/wandb_workspace.py entity=NAME`."""

import json
from pathlib import Path

from sinefield.errors import UserError, require
from sinefield.system.files import write_atomically
from sinefield.system.script import parse, run

USAGE = """\
Creates a saved view in a W&B project: learning curves, parallel coordinates, parameter importance, pictures, and
runs compared.

  python scripts/wandb_workspace.py entity=NAME
"""
OPTIONS = """\
entity: ???         # the W&B user or team
project: sinefield  # as in conf/logger/wandb.yaml
scores: psnr_off_grid,psnr  # keys in metrics.json, such as snr,mse; runs are sorted by the first, the largest first
out: null           # FILE.json: write what would be sent, and send nothing
"""


def main(arguments: list[str]) -> None:
    """Save the view, or write it to a file."""
    options, _ = parse(arguments, OPTIONS, text=("entity", "project", "scores", "out"))
    require(options["entity"] not in (None, "???"), "say whose project it is: entity=NAME")
    try:
        from sinefield.tracking import workspace  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise UserError("this needs wandb-workspaces: pip install -e '.[wandb]'") from error
    scores = [score for score in str(options["scores"] or "").split(",") if score]
    view = workspace.workspace(options["entity"], options["project"] or "sinefield", scores or workspace.SCORES)
    if options["out"]:
        write_atomically(Path(options["out"]), (json.dumps(workspace.serialised(view), indent=2) + "\n").encode())
        print(options["out"])
    else:
        print(workspace.save(view))


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
