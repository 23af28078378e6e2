"""From a picture file, or a finished run, to a small file."""

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinefield.compression import networks, waves
from sinefield.compression.files import drawn, samples, unpack, write
from sinefield.compression.rivals import psnr, rivals
from sinefield.core.jet import BLOCK
from sinefield.errors import integer, positive, require
from sinefield.render.raster import target
from sinefield.runs import trusted_config
from sinefield.runs.configuration import anchor_paths, build
from sinefield.runs.loading import build_field, load
from sinefield.signals.decoding.pixels import decode

Said = Callable[[str], object]
ENDINGS = (".sine",)
_LONGEST = 65_535  # samples along a side


def compress_picture(
    path: str | Path, out: str | Path, rate: float, block: int = 32, seed: int = 0, said: Said = lambda line: None
) -> str:
    """Write a picture file as local waves in about `rate` bits per pixel; what became of it, in words.

    Args:
        path: of the picture, or skimage:NAME.
        out: the file, .sine.
        rate: bits per pixel.
        block: samples along a side of a block of waves, 4 to 128.
        seed: of what is drawn.
        said: is told of progress.

    Raises:
        UserError: the picture cannot be read or is too large, or a knob makes no sense.
    """
    out, pixels = target(out, ENDINGS), decode(path)
    _check_size(pixels.shape[:2], str(path))
    found = waves.compress(2 * pixels - 1, rate, block, integer("seed", seed, least=0), said=said)
    return _written(out, found, pixels)


def compress_run(
    folder: str | Path,
    out: str | Path,
    rate: float,
    steps: int = 1000,
    lr: float = 5e-4,
    seed: int = 0,
    checkpoint: str = "last",
    trust: Collection[str] = (),
    said: Said = lambda line: None,
) -> str:
    """Write the network of a finished run of a picture in about `rate` bits per pixel; what became of it, in words.

    Args:
        folder: of the run.
        out: the file, .sine.
        rate: bits per sample of the picture as the run saw it.
        steps, lr: of the training of the rounded weights.
        seed: of the samples of each step.
        checkpoint: last or best.
        trust: packages whose classes the folder may ask for.
        said: is told of progress.

    Raises:
        UserError: it is no finished run of a picture, its field is another one, its picture is gone, or a knob makes no
            sense.
    """
    folder, out, rate, lr = Path(folder), target(out, ENDINGS), positive("rate", rate), positive("lr", lr)
    steps, seed = integer("steps", steps, least=1), integer("seed", seed, least=0)
    field: Any = load(folder, checkpoint, trust).float()
    config: Any = trusted_config.read(folder, trust)
    start = trusted_config.started_in(folder)
    if start is not None:
        anchor_paths(config, Path(start), missing_here=True)
    with torch.random.fork_rng(devices=[]):  # as the run began
        torch.manual_seed(integer("seed", config.seed, least=0))
        signal = build(config.signal)
        new = build_field(config.field)
    require(signal.dims == 2 and not signal.conditions, f"{folder} is not the run of a picture")
    require(hasattr(field, "activation"), "a small file holds a network of sines alone")
    about = networks.described(field, new)
    shape: tuple[int, int] = signal.shape
    _check_size(shape, str(folder))
    values = torch.cat([signal.jet(part, 0).value for part in signal.grid().split(BLOCK)]).detach().float()
    found = networks.compress(field, about, samples(shape), values, shape, rate, steps, lr, seed, said)
    pixels = ((values.double() + 1) / 2).clamp(0, 1).reshape(*shape, -1).numpy()
    return _written(out, found, pixels)


def _written(out: Path, found: waves.Waves | networks.Network, pixels: np.ndarray) -> str:
    size = write(out, found)
    truth, back = np.rint(255 * pixels).astype(np.uint8), drawn(unpack(out.read_bytes()))
    return f"{out}: {described(size, truth.shape)}, {psnr(back, truth):.2f} dB"


def described(size: int, shape: tuple[int, ...]) -> str:
    """How long a file of a picture (H, W, ..) is, in words."""
    return f"{size:,} bytes, {8 * size / math.prod(shape[:2]):.4f} bits per pixel"


def compare(path: str | Path, size: int) -> list[str]:
    """A line for each rival: what it makes of a picture file in `size` bytes."""
    truth = np.rint(255 * decode(path)).astype(np.uint8)
    found = rivals(truth, size)
    return [f"{name}: {described(taken, truth.shape)}, {quality:.2f} dB" for name, (taken, quality) in found.items()]


def _check_size(shape: Any, name: str) -> None:
    fits = max(shape) <= _LONGEST and math.prod(shape) <= waves.MOST // 16
    require(fits, f"{name} has {shape[1]} × {shape[0]} samples, too many for a small file; take a part or less of it")
