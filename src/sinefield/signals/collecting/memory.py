"""Pictures in a memory map: decoded once, read a few at a time, shared by all runs of the same sources.

A collection is two files in the cache folder: `<key>.bin`, 8-bit values (P, H, W, C), and then `<key>.json`, which
says how many and what they are. The key is a digest of the sources and of all that changes the pixels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sinefield.errors import UserError, require
from sinefield.signals.collecting.sources import Source, source
from sinefield.signals.collecting.squares import crops, squares
from sinefield.signals.decoding.pixels import resize
from sinefield.system.files import atomic_write, write_atomically, writing

log = logging.getLogger(__name__)

_VERSION = 1  # of what is made of a source; another makes all keys others
_LEAST = 4  # pixels a side


class Pictures(NamedTuple):
    """The pictures of a collection.

    Attributes:
        values: (P, H, W, C), uint8, 0 for black and 255 for white, mapped from a file.
        names: P, of the pictures.
        families: P numbers: the same for pictures that are nearly, or wholly, the same.
        files: what they were read from, as it was given.
    """

    values: np.ndarray
    names: list[str]
    families: list[int]
    files: tuple[str, ...]


def cache_folder() -> Path:
    """Where memory maps are kept: sinefield in $XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sinefield"


def pictures(
    paths: str | Path | list[str | Path],
    size: int | None,
    patch: int | None = None,
    patches_each: int = 256,
    folder: str | Path | None = None,
    crops_each: int | None = None,
) -> Pictures:
    """The pictures that `paths` means, as squares of one size, decoded now or at an earlier time.

    Args:
        paths: as `sources.source` takes them.
        size: pixels a side, at most those of the largest picture; None for those of the smallest.
        patch: the side of patches that the pictures are cut into; None for the square in the middle of each.
        patches_each: patches of one picture, at most.
        crops_each: random squares of one picture instead; None for none.
        folder: of the memory maps; None for `cache_folder()`.

    Raises:
        UserError: as `sources.source`; a picture cannot be read; or the memory map cannot be written.
    """
    found = source(paths)
    cut = (size, patch, patches_each) if crops_each is None else (size, "crops", crops_each)
    key = hashlib.blake2b(repr((_VERSION, found.digest, *cut)).encode(), digest_size=16).hexdigest()
    home = cache_folder() if folder is None else Path(folder)
    about, data = home / f"{key}.json", home / f"{key}.bin"
    if not _whole(about, data):
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
        log.info("decoding %d pictures into %s, once", len(found.items), data)
        _write(found, size, patch, patches_each, crops_each, about, data)
    described = json.loads(about.read_text())
    values: np.ndarray = np.memmap(data, np.uint8, "r", shape=tuple(described["shape"]))
    if described["grey"]:
        values = values[..., :1]
    return Pictures(values, described["names"], described["families"], found.files)


def _whole(about: Path, data: Path) -> bool:
    """Whether both files are there, and the map is as long as it should be."""
    try:
        return data.stat().st_size == int(np.prod(json.loads(about.read_text())["shape"]))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _write(
    found: Source,
    size: int | None,
    patch: int | None,
    patches_each: int,
    crops_each: int | None,
    about: Path,
    data: Path,
) -> None:
    """Decode the pictures one after the other; memory holds one of them."""
    side = _side(found, size, patch)
    names, digests, grey, left_out, enlarged = [], [], True, [], 0
    with atomic_write(data) as file:
        for whole in found.items:
            try:
                pixels = whole.read()
            except UserError as error:
                if not found.lenient:
                    raise
                left_out.append(str(error))
                continue
            digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).hexdigest()
            grey &= pixels.shape[2] == 1
            cut = squares(whole.name, pixels, patch, patches_each)
            for name, own in cut if crops_each is None else crops(whole.name, pixels, side, crops_each):
                enlarged += own.shape[0] < side
                values = np.rint(255 * resize(own, side, side).clip(0, 1)).astype(np.uint8)
                file.write(np.broadcast_to(values, (side, side, 3)).tobytes())
                names.append(name)
                digests.append((whole.family, digest))
        require(len(names) > 1, "signal.paths: a collection takes two pictures at least; give more")
    if left_out:
        log.warning("%d pictures are left out; the first: %s", len(left_out), left_out[0])
    if enlarged:
        log.warning("%d pictures are smaller than signal.size=%d, and enlarged", enlarged, side)
    content = {"shape": [len(names), side, side, 3], "grey": grey, "names": names, "families": families(digests)}
    write_atomically(about, json.dumps(content).encode())


def _side(found: Source, size: int | None, patch: int | None) -> int:
    """Pixels along each side of what is kept."""
    if patch is not None:
        return patch if size is None else min(size, patch)
    sides = []
    for item in found.items:
        try:
            sides.append(min(item.read().shape[:2]))
        except UserError:  # said when it is to be kept
            continue
        if size is not None and sides[-1] >= size:
            return size
    require(len(sides) > 0, "signal.paths: none of the pictures can be read; give others")
    side = min(sides) if size is None else max(sides)
    require(side >= _LEAST, f"signal.paths: the pictures have {side} pixels a side, and take {_LEAST} at least")
    return side


def families(keys: list[tuple[str, str]]) -> list[int]:
    """The number of each picture's family: those that share a name of a family, or a digest, share it.

    >>> families([("a", "1"), ("b", "2"), ("c", "1"), ("b", "3"), ("d", "4")])
    [0, 1, 0, 1, 4]
    """
    parent = list(range(len(keys)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    first: dict[tuple[int, str], int] = {}
    for k, pair in enumerate(keys):
        for key in enumerate(pair):
            other = root(first.setdefault(key, k))
            own = root(k)
            parent[max(own, other)] = min(own, other)
    return [root(k) for k in range(len(keys))]


def split(names: list[str], numbers: list[int], share: float) -> tuple[list[int], list[int]]:
    """The pictures to train on, and those held out: whole families, of all pictures `share` at most, but one family.

    Families come in the order of a digest of their first picture's name, so that the split is the same on all machines;
    one that would take too many of all pictures is trained on.
    """
    members: dict[int, list[int]] = {}
    for k, family in enumerate(numbers):
        members.setdefault(family, []).append(k)
    require(len(members) > 1, "signal.paths: all pictures are of one family, so that none can be held out; give others")
    order = sorted(members, key=lambda family: hashlib.blake2b(names[family].encode(), digest_size=8).digest())
    smallest = min(order, key=lambda family: len(members[family]))
    held: set[int] = set()
    for family in order:
        if len(held) + len(members[family]) <= share * len(names):
            held.update(members[family])
    if not held:
        held.update(members[smallest])
    everyone = range(len(names))
    return [k for k in everyone if k not in held], [k for k in everyone if k in held]
