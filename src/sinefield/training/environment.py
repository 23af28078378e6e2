"""Where a run was made and what it took of the machine: the part of metrics.json that is not about the fit."""

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
    """The device in words, the versions of what matters, the commit of this code or None, and the command."""
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
    with suppress(FileNotFoundError):
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines[line].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    return f"{device.type} ({model}, {torch.get_num_threads()} threads)"


def _git_commit(file: Path = PACKAGE / "__init__.py") -> str | None:
    """The commit of this project that the code is at, with a + where files differ from it.

    None for a copy that is not tracked by the project's own repository, whosever repository it lies in; `file` is
    `<root>/src/sinefield/__init__.py`.
    """
    root = file.resolve().parents[2]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # of a git hook

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=own).stdout.strip()

    try:
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"]
        if project != "sinefield" or Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None
        git("ls-files", "--error-unmatch", "--", str(file.resolve().relative_to(root)))
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, ValueError, LookupError, TypeError, subprocess.CalledProcessError):  # no git, no repository, ..
        return None
