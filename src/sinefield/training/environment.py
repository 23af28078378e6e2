"""Where a run was made and what it took of the machine: the part of metrics.json that is not about the fit."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only

PACKAGE = Path(__file__).parents[1]
_PACKAGES = ("sinefield", "torch", "pytorch-lightning", "hydra-core", "numpy", "scipy", "pillow", "wandb")


def environment(device: torch.device) -> dict[str, Any]:
    """The device in words, the versions of what matters, and the commit of this code; None where there is none."""
    return {
        "device": _device(device),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
        "command": sys.argv,
    }


def is_rank_zero() -> bool:
    """Whether this is the first, or the only, of the processes of a run: the one that writes and speaks."""
    return not getattr(rank_zero_only, "rank", 0)


class Usage:
    """Seconds and peak memory since this object was made."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        with suppress(OSError):  # Linux: starts the high-water mark anew, so that runs in one process do not share it
            Path("/proc/self/clear_refs").write_text("5")
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def measured(self, device: torch.device) -> dict[str, float]:
        """wall_seconds, and peak_memory_mb: of the device's memory on CUDA, resident in this process on the CPU."""
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident("VmHWM")
        return {"wall_seconds": time.perf_counter() - self.started, "peak_memory_mb": peak / 2**20}


def resident(line: str = "VmRSS") -> int:
    """Resident memory in bytes; with "VmHWM" its high-water mark, which is all that systems without /proc know."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines[line].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{device.type} ({model}, {torch.get_num_threads()} threads)"


def _git_commit(file: Path = PACKAGE / "__init__.py") -> str | None:
    """The commit of this project that the code is at, with a + where files differ from it.

    None for a copy that is not tracked by the project's own repository, whoever's repository it lies in.

    Args:
        file: `<root>/src/sinefield/__init__.py`.
    """
    root = file.resolve().parents[2]
    try:
        with (root / "pyproject.toml").open("rb") as project:
            if tomllib.load(project)["project"]["name"] != "sinefield":
                return None
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return None
        _git(root, "ls-files", "--error-unmatch", "--", str(file.resolve().relative_to(root)))
        commit, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "-uno")
    except (OSError, ValueError, LookupError, TypeError, subprocess.CalledProcessError):  # no git, no repository, ..
        return None
    return commit + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    """What git says of the repository at `root`, whichever one the environment names, as it does in a git hook."""
    placed = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
    own = {name: value for name, value in os.environ.items() if name not in placed}
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, env=own)
    return done.stdout.strip()
