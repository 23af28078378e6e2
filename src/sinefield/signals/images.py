"""Many pictures of one shape, each to be fitted by a field of its own at the same points."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image as Pillow

from sinefield.errors import require
from sinefield.signals.base import Signal
from sinefield.signals.decoding.source import NoPictureError
from sinefield.signals.image import Image

log = logging.getLogger(__name__)


class Images(Image):
    """K picture files with values in [-1, 1], their channels side by side: K C in all.

    Args:
        paths: a folder, whose pictures are taken in the order of their names, or a list of files. A file in the folder
            that is no picture is left out, with a warning.
        square, picture: as of `Image`, for each.

    Raises:
        UserError: as `Image`; or there are no pictures, or they are unlike in shape, channels or pixels held out.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path], *, square: bool = True, **picture: Any) -> None:
        files, pictures, arguments = [], [], []
        for file in listed(paths):
            own = {"path": str(file), "square": square, **picture}
            try:
                pictures.append(Image(**own))
            except NoPictureError as error:
                if not isinstance(paths, str | Path):
                    raise
                log.warning("%s; it is left out", error)
            else:
                files.append(file)
                arguments.append(own)
        require(len(files) > 0, f"there are no pictures in the folder {paths}; give another signal.paths")
        first, cure = _kind(pictures[0]), "take a smaller signal.size, signal.holdout=false, or other pictures"
        for path, kind in zip(files, map(_kind, pictures), strict=True):
            require(kind == first, f"signal.paths: {files[0]} is {first}, but {path} {kind}; {cure}")
        Signal.__init__(self, pictures[0].shape, len(files) * pictures[0].channels)  # past Image, which reads one file
        self.degree = pictures[0].degree
        self.files = tuple(map(str, [paths, *files] if isinstance(paths, str | Path) else files))
        self.finer, self.prior = pictures[0].finer, pictures[0].prior
        self.effort = max(each.effort for each in pictures)
        self.register_buffer("c", torch.cat([each.c for each in pictures], dim=-1))
        self.register_buffer("plain", torch.cat([each.plain for each in pictures], dim=-1))
        fine = [each.fine for each in pictures if each.fine is not None]
        self.fine = torch.cat(fine, dim=-1) if fine else None
        self.pictures = torch.nn.ModuleList(pictures)
        self.arguments = dict(zip(_names(files), arguments, strict=True))

    def components(self) -> dict[str, tuple[Signal, dict[str, Any]]]:
        """The pictures, and what `Image` makes each of, by the names of their files.

        >>> list(Images(["skimage:camera", "skimage:moon", "skimage:camera"], size=16).components())
        ['camera', 'moon', 'camera-2']
        """
        pictures = cast("list[Signal]", list(self.pictures))
        return {name: (own, self.arguments[name]) for name, own in zip(self.arguments, pictures, strict=True)}


def _names(files: Sequence[str | Path]) -> list[str]:
    """The files' names without folders and endings, numbered where one comes again."""
    names: list[str] = []
    for file in files:
        stem = name = Path(file).stem.removeprefix("skimage:")
        number = 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


def listed(paths: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    """The files that `paths` means: of a folder all but hidden ones that are pictures by their endings, sorted."""
    if not isinstance(paths, str | Path):
        quoted = f"if it is a name, put it in quotes twice: \"signal.paths='{paths}'\""
        listed = isinstance(paths, list | tuple) and len(paths) > 0
        require(listed, f"signal.paths must be a folder or a list of at least one picture, not {paths!r}; {quoted}")
        return paths
    folder = Path(paths)
    require(folder.is_dir(), f"signal.paths must be a folder or a list, [a.jpg,b.jpg]; {str(paths)!r} is neither")
    endings = {ending for ending, kind in Pillow.registered_extensions().items() if kind in Pillow.OPEN}
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    if others := [file.name for file in files if file.suffix.lower() not in endings]:
        some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        log.warning("%s: left out, no pictures by their names: %s", folder, some)
    return [file for file in files if file.suffix.lower() in endings]


def _kind(picture: Image) -> str:
    """What pictures that are fitted together must have in common, in words."""
    colours = "grey" if picture.channels == 1 else "colour"
    held = "no pixels" if picture.fine is None else "pixels"
    return f"{picture.shape[1]} x {picture.shape[0]} samples in {colours}, with {held} held out between them"
