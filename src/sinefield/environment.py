"""Where a run was made and what it took of the machine: the part of metrics.json that is not about the fit."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only

_PACKAGES = ("sinefield", "torch", "pytorch-lightning", "hydra-core", "numpy", "scipy", "pillow", "wandb")


def environment(device: torch.device) -> dict[str, Any]:
    """The device in words, the versions of what matters, and the commit of this code; None where there is none."""
    return {
        "device": _device(device),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
        "command": sys.argv,
    }


def leading() -> bool:
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


def _git_commit() -> str | None:
    """The commit this package's code is at, with a + where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: an installed copy
        return None
    return commit + ("+" if changed.stdout.strip() else "")
