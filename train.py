"""Fit one signal: `python train.py loss=laplacian signal.path=cat.jpg`; every knob is in conf/.

`python train.py resume=outputs/…` continues an interrupted run.
"""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


@hydra.main(config_path="conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train with the composed configuration, in the folder Hydra made for it."""
    from sinefield.command import main as run  # noqa: PLC0415  --help and typos need no torch

    return run(config, Path(HydraConfig.get().runtime.output_dir))


def resume(arguments: list[str]) -> None:
    """Continue the run in a folder, past Hydra, which would compose another configuration for it."""
    if len(arguments) > 1:
        sys.exit("error: a run is resumed with its own saved configuration; leave out all but resume=FOLDER")
    from sinefield.command import resume as run  # noqa: PLC0415

    run(Path(arguments[0].removeprefix("resume=")))


def explain(error: Exception) -> str:
    """One line for a mistake in the command line: what is wrong, and the choices there are."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        return f"there is no {error.missing_cfg_file}; choose from: {', '.join(error.options)}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        return f"there is no {cause.full_key}; choose from: {', '.join(map(str, cause.parent_node))}"
    return " ".join(str(error).split())


if __name__ == "__main__":
    if any(argument.startswith("resume=") for argument in sys.argv[1:]):
        resume(sys.argv[1:])
        sys.exit()
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hands every exception on to here instead of printing it
    try:
        main()
    except CompactHydraException as mistake:
        if full:
            raise
        sys.exit(f"error: {explain(mistake)}")
