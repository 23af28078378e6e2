"""Pictures, meshes, sounds and films of many runs for a page: small copies inside it, up to a limit, links beyond."""

import base64
import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from sinefield.report.meshes import MOST_BYTES, small_mesh
from sinefield.report.scores import titled

TYPES = {
    ".png": "image/png",
    ".ply": "model/ply",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
ELEMENTS = {
    "image": "img",
    "model": "canvas",
    "audio": "audio",
    "video": "video",
}  # what of HTML shows them, in the order of the page
# What most runs have comes first; whatever else a folder holds follows by name.
FIRST = (
    "ground_truth", "reconstruction", "error", "gradient_signal", "gradient_field", "laplacian_signal",
    "laplacian_field",
)  # fmt: skip
SHEET = "contact_sheet.png"  # all of a run's pictures once more
SIDE = 256  # pixels; the page shows them smaller, and the whole picture is a click away
MOST_PIXELS = 2**25  # of a picture that is read: a second or so
SMALL = 1_500_000  # bytes of a sound or film that is embedded
BUDGET = 20_000_000  # bytes of WebP, sounds and films in one page: 27 MB as base64
Added = tuple[str | None, int, int, str]


def files(folder: Path) -> list[Path]:
    """The pictures, meshes, sounds and films directly in a folder, without the contact sheet."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in TYPES and path.name != SHEET]
    return sorted((path for path in found if not path.is_dir()), key=order)


def order(path: Path) -> tuple[int, int, str]:
    """A key that sorts pictures before meshes before sounds before films, in each of them `FIRST` first."""
    place = FIRST.index(path.stem) if path.stem in FIRST else len(FIRST)
    return list(ELEMENTS).index(_kind(path)), place, path.name


def described(path: Path) -> dict[str, str]:
    """A file's name, its link from its folder, its title, and the element of HTML that shows it."""
    link, title = quote(os.fsencode(path.name)), titled(path.stem)
    return {"file": path.name, "link": link, "title": title, "element": ELEMENTS[_kind(path)]}


def _kind(path: Path) -> str:
    return TYPES[path.suffix.lower()].partition("/")[0]


class Media:
    """Collects files in `data`, by key as data URIs; equal ones, such as the truth of a hundred runs, are kept once.

    What comes after the budget of bytes is spent is linked.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.data: dict[str, str] = {}
        self.left = budget

    def add(self, path: Path) -> Added | None:
        """A file's key in `data`, or None where it is to be linked, its width and height, and what its colours mean.

        Meshes, sounds and films have no size; points alone are linked. A picture of more than `MOST_PIXELS` is linked
        if it is one of `FIRST`; any other is a rendering, which is left out: the answer is None.

        Raises:
            ValueError: it is no ordinary file, or no whole picture or mesh; the message names the file.
            FileNotFoundError: there is none.
        """
        if not path.is_file() and path.exists():
            raise ValueError(f"{path.name} is no ordinary file")
        return {"image": self._picture, "model": self._mesh}.get(_kind(path), self._whole)(path)

    def _whole(self, path: Path) -> Added:
        if path.stat().st_size >= SMALL:
            return None, 0, 0, ""
        content = path.read_bytes()
        return self._kept(content, lambda: self._fitting(content), TYPES[path.suffix.lower()]), 0, 0, ""

    def _mesh(self, path: Path) -> Added:
        with path.open("rb") as file:
            some = re.search(rb"^element face [0-9]*[1-9]", file.read(4096), re.MULTILINE)
        if some is None or path.stat().st_size > MOST_BYTES or self.left <= 0:  # points alone, or no room
            return None, 0, 0, ""
        content = path.read_bytes()
        try:
            key = self._kept(content, lambda: self._fitting(small_mesh(content)), "model/ply")
        except ValueError as error:
            raise ValueError(f"{path.name} is {error}") from error
        return key, 0, 0, "red, green, blue: -1 to 1 of the normal's x, y, z"

    def _picture(self, path: Path) -> Added | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path, formats=["PNG"]) as picture:
                    size, meaning = picture.size, str(picture.info.get("Description", ""))[:200]
            if size[0] * size[1] > MOST_PIXELS:
                return (None, *size, meaning) if path.stem in FIRST else None
            content = path.read_bytes()
            return self._kept(content, lambda: self._small(content), "image/webp"), *size, meaning
        except Image.DecompressionBombError:  # even larger
            return (None, 0, 0, "") if path.stem in FIRST else None
        except FileNotFoundError:
            raise
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{path.name} is no whole PNG") from error

    def _small(self, content: bytes) -> bytes | None:
        """A small copy of a PNG; None where no room is left."""
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if self.left <= 0:
                picture.verify()  # checksums alone: a page of thousands of runs must not decode them all
                return None
            small = picture.convert("RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        # Below 100 pixels the blocks of a lossy picture would be seen, and lossless costs little.
        small.save(file, "WEBP", lossless=max(small.size) < 100, quality=85, method=2)
        return file.getvalue()

    def _fitting(self, copy: bytes) -> bytes | None:
        return copy if len(copy) <= self.left else None

    def _kept(self, content: bytes, shown: Callable[[], bytes | None], kind: str) -> str | None:
        """The key of a file, whose copy for the page is made once; None where there is no room for it."""
        key = hashlib.sha1(content, usedforsecurity=False).hexdigest()[:16]
        if key not in self.data:
            copy = shown()
            if copy is None:
                return None
            self.left -= len(copy)
            self.data[key] = f"data:{kind};base64,{base64.b64encode(copy).decode()}"
        return key
