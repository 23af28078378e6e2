"""Bad input of every kind: bytes that were damaged, values of the wrong type or size, files that are none."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from conftest import CONF
from discover import choices, overrides
from hydra import compose, initialize_config_dir
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from PIL import Image

# Several processes, where they start, and W&B's own, have tests of their own: tests/training, tests/tracking.
CHOICES = [str(c) for c in choices() if c.parts[-2] not in ("launcher", "sweeper") and c.stem != "wandb"]
SECONDS, MEMORY = 15, 6 * 2**30  # of the processor, that one input may take, far more than a good one
WAITING = 20  # times as long by the clock, of which a busy machine's other processes have their share


def plain(kind: str, mode: str) -> bytes:
    """A small whole picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


PICTURES = [
    plain(kind, mode)
    for kind, modes in {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "TIFF": ("1", "L", "RGB", "RGBA", "F", "I;16"),
        "GIF": ("P",),
        "WEBP": ("RGB", "RGBA"),
        "BMP": ("L", "RGB"),
        "PPM": ("L", "RGB"),
        "TGA": ("RGBA",),
        "ICO": ("RGBA",),
    }.items()
    for mode in modes
]


def deep(dtype: str, **options: Any) -> bytes:
    """A small TIFF of three colours that tifffile has written."""
    planes = options.get("planarconfig") == "separate"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 11) if planes else (9, 11, 3)) / 255
    buffer = io.BytesIO()
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    tifffile.imwrite(buffer, (pixels * scale).astype(dtype), photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


PICTURES += [
    deep("u2", planarconfig="separate"),
    deep("u2", compression="zlib", predictor=2, byteorder=">"),
    deep("f4", tile=(16, 16)),
    deep("i1", bigtiff=True),
]

_bytes = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from(
        [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b"[" * 2000, b"*", b"&a ", b"NaN"]
    ),
)
edits = st.lists(
    st.tuples(st.integers(0, 1000), st.sampled_from(["put", "insert", "delete", "repeat", "cut"]), _bytes),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    """`content` after some edits, each at a place given in thousandths of its length."""
    for place, kind, new in edits:
        at = place * len(content) // 1000
        match kind:
            case "put":
                content = content[:at] + new + content[at + len(new) :]
            case "insert":
                content = content[:at] + new + content[at:]
            case "delete":
                content = content[:at] + content[at + len(new) :]
            case "repeat":
                content = content[:at] + content[at : at + 64] * 3 + content[at:]
            case "cut":
                content = content[:at]
    return content


# What may stand at a knob: every type, both ends of every range, and words that mean something to somebody.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([10**6, 2**31, 2**63, -(2**63), 10**30]),
    st.floats(allow_subnormal=False),  # which torch flushes to zero here
    st.sampled_from([0.0, -1.0, 1e-300, 1e300, -1e300]),
    st.sampled_from(["", "none", "auto", "null", "true", "nan", "-inf", "1e3", "../..", "${seed}", "${nothing}", "\n"]),
    st.text(max_size=4),
)
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=4),
    st.lists(st.lists(scalars, max_size=3), max_size=2),
    st.dictionaries(st.sampled_from(["a", "_target_", "lr", ""]), scalars, max_size=2),
)


@cache
def composed(choice: str) -> DictConfig:
    """The configuration with one file of conf/ chosen, of a run that takes no time."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides(Path(choice), Path(tempfile.mkdtemp())), "logger=none"])


@cache
def leaves(choice: str) -> list[str]:
    """The dotted places of all values in it."""
    return [place for place in _leaves(OmegaConf.to_container(composed(choice)), "") if place != "callback"]


def _leaves(value: Any, place: str) -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{place}.{key}" if place else key)]
    return [place]


def spoil(folder: Path, name: str, how: str, content: bytes) -> None:
    """Replace a file of a folder by something else."""
    file = folder / name
    if how != "write":
        file.unlink(missing_ok=True)
    match how:
        case "write":
            file.write_bytes(content)
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "loop":
            file.symlink_to(file.name)
        case "up":
            file.symlink_to(folder.parent)
        case "elsewhere":
            file.symlink_to("/dev/zero")


class Hang(BaseException):
    """An input took too long; no error that anybody handles."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """`Hang` after some seconds, MemoryError beyond some bytes: neither waiting for ever nor a neighbour's end."""

    def late(*_: object) -> None:
        raise Hang(f"more than {SECONDS} s")

    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING * SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def fresh(folder: Path, source: Path) -> Path:
    """A copy of a run folder, without its pictures but the one that a rendering needs."""
    shutil.rmtree(folder, ignore_errors=True)
    unneeded = shutil.ignore_patterns("contact*", "grad*", "lapl*", "recon*", ".lock")
    return shutil.copytree(source, folder, ignore=unneeded)
