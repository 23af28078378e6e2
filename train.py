"""Fit one signal: `python train.py loss=laplacian signal.path=cat.jpg`; every knob is in conf/.

`python train.py resume=outputs/…` continues an interrupted run, `repeat=outputs/…` runs a finished one once more.
"""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


@hydra.main(config_path="conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train with the composed configuration, in the folder Hydra made for it."""
    from sinefield.command import main as run  # noqa: PLC0415  --help and typos need no torch

    return run(config, Path(HydraConfig.get().runtime.output_dir))


def again(arguments: list[str]) -> None:
    """Resume or repeat the run in a folder, past Hydra, which would compose another configuration for it."""
    options = dict(argument.partition("=")[::2] for argument in arguments)
    if options.keys() not in ({"resume"}, {"repeat"}, {"repeat", "hydra.run.dir"}):
        sys.exit(
            "error: a run is resumed or repeated with its own saved configuration; leave out all but resume=FOLDER, or "
            "repeat=FOLDER and hydra.run.dir=NEW_FOLDER"
        )
    from sinefield.command import repeat, resume  # noqa: PLC0415

    if "resume" in options:
        resume(Path(options["resume"]))
    else:
        repeat(Path(options["repeat"]), Path(options["hydra.run.dir"]) if "hydra.run.dir" in options else None)


def explain(error: Exception) -> str:
    """One line for a mistake in the command line: what is wrong, and the choices there are."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        return f"there is no {error.missing_cfg_file}; choose from: {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read; put a value that is no plain word in quotes twice: \"key='Käse 1'\""
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        return f"there is no {cause.full_key}; choose from: {', '.join(map(str, cause.parent_node))}"
    return " ".join(str(error).split())


if __name__ == "__main__":
    if any(argument.startswith(("resume=", "repeat=")) for argument in sys.argv[1:]):
        again(sys.argv[1:])
        sys.exit()
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hands every exception on to here instead of printing it
    try:
        main()
    except CompactHydraException as mistake:
        if full:
            raise
        sys.exit(f"error: {explain(mistake)}")
    except OSError as refusal:  # Hydra cannot make the run folder
        if full:
            raise
        sys.exit(f"error: {refusal}; mend that, or choose another hydra.run.dir")
