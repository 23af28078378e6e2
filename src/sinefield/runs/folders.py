"""What Hydra needs at every start, `--help` included, so without torch: run folders, and the resolvers of conf/.

Hydra itself would write `.hydra/` and open a log file as soon as it has composed the configuration, whoever is running
there. Here it only makes the folder; `Status` writes the rest for the process that owns it.
"""

import math
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

CONF = (Path(__file__).parents[1] / "conf").resolve()  # a link to the repository's conf/; in a wheel its files


def register_resolvers() -> None:
    """Have ${times:a,b} mean a b and ${rounded:a} a whole number; null where one of them is not known yet."""

    def product(*factors: Any) -> Any:
        return None if None in factors else math.prod(factors)

    def rounded(number: float | None) -> int | None:
        return None if number is None else max(1, round(number))

    OmegaConf.register_new_resolver("times", product, replace=True)
    OmegaConf.register_new_resolver("rounded", rounded, replace=True)


class OwnFolder(Callback):
    """Before Hydra makes the folder of a run: another name where it is named by the time and taken."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Choose the folder, and put off what Hydra would write."""
        with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
            config.hydra.output_subdir = None
            for name in log_files(config):
                config.hydra.job_logging.handlers[name].delay = True
            if "${now:" in str(OmegaConf.to_container(config.hydra.run, resolve=False)):
                from sinefield.runs.trainer import set_rank  # noqa: PLC0415  needs torch, and typos are reported by now

                if not set_rank(config):  # the processes of one run come to the same name by themselves
                    with suppress(OSError, OmegaConfBaseException):  # Hydra meets it, too, and says so
                        config.hydra.run.dir = str(new_folder(Path(config.hydra.run.dir)))


def log_files(config: DictConfig) -> list[str]:
    """The handlers of Hydra's job_logging that write files; with `delay` they open them when there is something."""
    logging = config.hydra.job_logging or {}
    return [name for name, handler in (logging.get("handlers") or {}).items() if "filename" in list(handler)]


def new_folder(folder: Path) -> Path:
    """Make a folder that was not there, with -2, -3 and so on after its name where there was one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for name in chain([folder.name], (f"{folder.name}-{number}" for number in range(2, 10**6))):
        with suppress(FileExistsError):
            folder.with_name(name).mkdir()  # of several processes, one succeeds
            return folder.with_name(name)
    raise FileExistsError(f"{folder} and a million more are there already")


def usual_folder(name: str) -> Path:
    """Where a run called `name` goes that is given no folder, as conf/train.yaml has it; there may be one by now."""
    return Path("outputs", name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def hydra_texts(config: DictConfig, hydra: DictConfig) -> dict[str, str]:
    """What Hydra would write for a run, by file: the configuration as composed, Hydra's own, and what was typed."""
    texts = {"config": config, "hydra": hydra, "overrides": hydra.hydra.overrides.task}
    return {f".hydra/{name}.yaml": OmegaConf.to_yaml(content) for name, content in texts.items()}
