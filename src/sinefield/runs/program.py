"""The program `python train.py` and `python -m sinefield`: Hydra, what is typed beside Hydra's own, and how it ends.

`python train.py --help` explains `resume=`, `repeat=`, `trust=` and `debug=` (conf/hydra/help/sinefield.yaml). Nothing
here loads torch before a configuration is composed: `--help` and typos do not need it.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sinefield.runs.folders import CONF, register_resolvers
from sinefield.system.script import accept_any_character
from sinefield.system.streams import protect_process

FULL = os.environ.get("HYDRA_FULL_ERROR") == "1" or "debug=true" in sys.argv  # before `program` changes both
KNOWN = (CompactHydraException, OSError)  # what the user or the machine is to mend; sinefield's own come as the former


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train with the composed configuration, in the folder Hydra made for it."""
    from sinefield.runs.command import main as run  # noqa: PLC0415  --help and typos need no torch

    alone = HydraConfig.get().mode == RunMode.RUN  # else the sweep tells what became of its jobs
    with report_errors() if alone else nullcontext():
        return run(config, Path(HydraConfig.get().runtime.output_dir))


def program() -> None:
    """Do what the command line says; ends with a status of its own where that fails."""
    protect_process()
    accept_any_character()
    register_resolvers()  # `--cfg job --resolve` asks for them, and loads nothing that needs torch
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hands every exception on to here instead of printing it
    sys.argv = [argument for argument in sys.argv if argument not in ("debug=true", "debug=false")]
    with report_errors():
        if {"-h", "--help"} & set(sys.argv):  # Hydra's, which knows no such knobs
            sys.argv = [argument for argument in sys.argv if not argument.startswith(("resume=", "repeat=", "trust="))]
        if any(argument.startswith(("resume=", "repeat=")) for argument in sys.argv):
            resume_or_repeat(sys.argv[1:])
        else:
            main()


def resume_or_repeat(arguments: list[str]) -> None:
    """Resume or repeat the run in a folder, past Hydra, which would compose another configuration for it."""
    options = dict(argument.partition("=")[::2] for argument in arguments)
    may = ({"resume"}, {"resume", "trainer.max_steps"}, {"repeat"}, {"repeat", "hydra.run.dir"})
    steps = options.get("trainer.max_steps", "1")
    if options.keys() - {"trust"} not in may or not (steps.isascii() and steps.isdigit()):
        sys.exit(
            "error: a run is resumed or repeated with its own saved configuration; leave out all but resume=FOLDER and "
            "trainer.max_steps=NUMBER, or repeat=FOLDER and hydra.run.dir=NEW_FOLDER"
        )
    from sinefield.runs.resume_or_repeat import repeat, resume  # noqa: PLC0415
    from sinefield.runs.trusted_config import packages  # noqa: PLC0415

    trust, place = packages(options.get("trust")), options.get("hydra.run.dir")
    if "resume" in options:
        resume(Path(options["resume"]), trust, int(steps) if "trainer.max_steps" in options else None)
    else:
        repeat(Path(options["repeat"]), None if place is None else Path(place), trust)


def explain(error: Exception, composing: bool) -> str:
    """One line for what ended the command, perhaps in composing its configuration: what is wrong, and the choices."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        return f"there is no {error.missing_cfg_file}; choose from: {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read; put a value that is no plain word in quotes twice: \"key='Käse 1'\""
    cause, said = error.__cause__, " ".join(str(error).split())
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        return f"there is no {cause.full_key}; choose from: {', '.join(map(str, cause.parent_node))}"
    if isinstance(error, KNOWN) or composing:
        cure = "; mend that, or choose another hydra.run.dir" if isinstance(error, OSError) else ""  # in making it
        return (
            said + cure + ("; write group=name, or ~group for none" if said.startswith("Config group override") else "")
        )
    return f"{type(error).__name__}: {said} (a defect of sinefield or of your own class; debug=true shows where)"


@contextmanager
def report_errors() -> Iterator[None]:
    """End the command by one line and a status: 1 for what can be mended, 70 (EX_SOFTWARE) for a defect."""
    try:
        yield
    except Exception as error:
        if FULL:
            raise
        print(f"error: {explain(error, _composing(error))}", file=sys.stderr)
        sys.exit(1 if isinstance(error, KNOWN) or _composing(error) else 70)


def _composing(error: Exception) -> bool:
    """Whether Hydra raised it over the command line or conf/, before it called any code of ours."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = {str(frame.f_globals.get("__name__")) for frame in frames} - {__name__}
    packages = {module.partition(".")[0] for module in modules}
    return "hydra" in packages and not {"sinefield", "hydra_plugins"} & packages
