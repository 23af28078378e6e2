"""The field of a finished run, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from sinefield.errors import require
from sinefield.runs import trusted_config
from sinefield.runs.configuration import build
from sinefield.training import checkpoints

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import nn


def load(folder: str | Path, checkpoint: str = "last", trust: Collection[str] = ()) -> nn.Module:
    """The field of a finished run, as a plain module in evaluation mode on the CPU.

    Args:
        folder: the run folder.
        checkpoint: "last" for the final weights, "best" for those with the best score that the run is judged by.
        trust: packages beside this one whose classes the folder's configuration may ask for.

    Returns:
        A module that maps (..., D) coordinates to (..., C) values in [-1, 1] and answers ``jet(x, order)``.

    Raises:
        UserError: the folder holds no finished run, it asks for what no run needs, or the checkpoint cannot be read.
    """
    folder = Path(folder)
    require((folder / "metrics.json").is_file(), f"{folder} holds no finished run (no metrics.json in it)")
    several = folder / "fields"
    require(not several.is_dir(), f"{folder} holds several fields; give the folder of one of those in {several}")
    file = folder / "checkpoints" / f"{checkpoint}.ckpt"
    state = checkpoints.read(file)["state_dict"]
    field = cast("nn.Module", build(trusted_config.part(folder, "field", trust)))
    with checkpoints.belonging(file):
        field.load_state_dict({name.removeprefix("field."): tensor for name, tensor in state.items()})
    return field.eval()
