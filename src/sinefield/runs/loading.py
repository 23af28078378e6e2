"""The field of a finished run, from its folder."""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from sinefield.errors import require
from sinefield.fields.mlp import CoordinateMLP
from sinefield.fields.start import LearnedStart
from sinefield.runs import trusted_config
from sinefield.runs.configuration import build
from sinefield.training import checkpoints

_log = logging.getLogger(__name__)


def load(folder: str | Path, checkpoint: str = "last", trust: Collection[str] = ()) -> nn.Module:
    """The field of a finished run: a module, in evaluation mode on the CPU, from (..., D) to (..., C) in [-1, 1].

    Args:
        folder: the run folder.
        checkpoint: "last" for the final weights, "best" for those with the best score that the run is judged by.
        trust: packages beside this one whose classes the folder's configuration may ask for.

    Raises:
        UserError: the folder holds no finished run, it asks for what no run needs, or the checkpoint cannot be read.
    """
    file, state = weights(folder, checkpoint)
    field = build_field(trusted_config.part(Path(folder), "field", trust))
    with checkpoints.belonging(file):
        field.load_state_dict(state)
    return field.eval()


def weights(folder: str | Path, checkpoint: str = "last") -> tuple[Path, dict[str, Tensor]]:
    """The file with the weights of a finished run of one field, and the tensors in it by their names in the field."""
    folder = Path(folder)
    require((folder / "metrics.json").is_file(), f"{folder} holds no finished run (no metrics.json in it)")
    several = folder / "fields"
    require(not several.is_dir(), f"{folder} holds several fields; give the folder of one of those in {several}")
    file = folder / "checkpoints" / f"{checkpoint}.ckpt"
    state = checkpoints.read(file)["state_dict"]
    return file, {name.removeprefix("field."): tensor for name, tensor in state.items()}


def build_field(node: Any) -> CoordinateMLP:
    """The field that `config.field` describes, with weights of its own; `field.init` says where a run takes others."""
    if isinstance(node, DictConfig):
        node = node.copy()
        OmegaConf.set_struct(node, False)
        node.pop("init", None)
    return build(node)


def learned_rates(folder: Any, last: Path | None = None) -> dict[str, Any]:
    """What optimizer=learned takes from the run of a learned start: `rates`, and whether they are for `adam`.

    Args:
        folder: of that run.
        last: the checkpoint of a later fit that goes on, which has them too: the folder may be gone.
    """
    kept = {} if last is None else checkpoints.read(last)["found"].get("learned", {})
    if kept.get("rates"):
        with checkpoints.belonging(cast("Path", last)):
            return {"rates": {str(k): _finite(rate) for k, rate in kept["rates"].items()}, "adam": bool(kept["adam"])}
    require(isinstance(folder, str | Path), f"optimizer.rates must be the folder of a finished run, not {folder!r}")
    field = load(folder)
    cure = "give that of a run with algorithm=meta"
    require(isinstance(field, LearnedStart), f"{folder} is the run of a {type(field).__name__}, not a start; {cure}")
    start = cast("LearnedStart", field)
    return {"rates": {name: rate.detach() for name, rate in start.rates().items()}, "adam": start.adam}


def _finite(rate: Tensor) -> Tensor:
    """The same; ValueError where it is none for a step."""
    if not bool(rate.isfinite().all()) or rate.dim() == 0 or len(rate) == 0:
        raise ValueError("its learned rates are not finite numbers for each step")
    return rate


def initialise(field: CoordinateMLP, folder: Any) -> None:
    """Give a field the weights with which another run ended, `field.init`; `UserError` where one does not fit.

    A field of one picture takes those of the base of one for many. A learned start keeps its own rates, and says so,
    where that run has none or has them for other steps or parameters.
    """
    require(isinstance(folder, str | Path), f"field.init must be the folder of a finished run, not {folder!r}")
    _, state = weights(folder)
    own = field.state_dict()
    inside = "base."
    if not any(name.startswith(inside) for name in own):
        state = {name[len(inside) :]: part for name, part in state.items() if name.startswith(inside)} or state
    if isinstance(field, LearnedStart):
        here, there = ({k: part for k, part in each.items() if not k.startswith(inside)} for each in (own, state))
        if {k: part.shape for k, part in here.items()} != {k: part.shape for k, part in there.items()}:
            _log.warning("field.init=%s: its rates, if any, are not for these steps; field.rate sets them", folder)
            state = {k: part for k, part in state.items() if k.startswith(inside)} | here
    for name in dict.fromkeys((*own, *state)):
        shapes = [str(tuple(part[name].shape)) if name in part else "missing" for part in (state, own)]
        require(
            shapes[0] == shapes[1],
            f"field.init={folder}: {name} is {shapes[0]} there and {shapes[1]} here; give the field the width, depth, "
            "encoding and channels of that run",
        )
    field.load_state_dict(state)
