"""A `conf/` in the current folder adds choices of its own: conf/activation/mine.yaml is activation=mine."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from sinefield.runs.folders import CONF


class OwnChoices(SearchPathPlugin):
    """Looks into the current folder's `conf/` after sinefield's own, whose files keep their names; for sinefield alone.

    `--config-dir FOLDER` adds another one, as in every program that uses Hydra.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder, where there is one."""
        own = Path("conf").absolute()
        places = [item.path for item in search_path.get_path() if item.provider == "main"]
        if str(CONF) in [place.removeprefix("file://") for place in places] and own.is_dir() and own.resolve() != CONF:
            search_path.append("current folder", f"file://{own}")
