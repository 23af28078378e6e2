"""The files that pictures are read from."""

import difflib
import lzma
import stat
import struct
import zlib
from pathlib import Path

import skimage
import tifffile

from sinefield.errors import UserError, require

# What Pillow's readers and tifffile let through on damaged bytes, as damaging files of thirty kinds has shown.
DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error, lzma.LZMAError, tifffile.TiffFileError),
)
_SHIPPED = "skimage:"


class NoPictureError(UserError):
    """A file that is not a picture at all, rather than a damaged one."""


def locate(path: str | Path) -> Path:
    """The readable, non-empty file that `path` names."""
    require(
        isinstance(path, str | Path) and str(path).strip() != "",
        f"the path of a picture must be a file or a name like skimage:camera, not {path!r}; if it is a name, put it in "
        f"quotes twice: \"signal.path='{path}'\"",
    )
    if str(path).startswith(_SHIPPED):
        return _shipped(str(path).removeprefix(_SHIPPED))
    file, name = Path(path), repr(str(path))
    try:
        status = file.stat()
        if stat.S_ISREG(status.st_mode):  # a pipe would block
            file.open("rb").close()
    except FileNotFoundError as error:
        present = {other.name.lower(): other.name for other in file.parent.glob("*")}
        close = [repr(present[match]) for match in difflib.get_close_matches(file.name.lower(), present)]
        hint = f"did you mean {' or '.join(close)}?" if close else "check the path"
        raise UserError(f"{name} does not exist; {hint}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL or an unencodable character
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be opened ({reason}); check the path and its permissions") from error
    require(not stat.S_ISDIR(status.st_mode), f"{name} is a directory; give the path of one picture in it")
    require(stat.S_ISREG(status.st_mode), f"{name} is a device or a pipe; copy the picture into a file")
    if status.st_size == 0:
        raise NoPictureError(f"{name} is empty (0 bytes); get it again")
    return file


def _shipped(name: str) -> Path:
    """A picture in scikit-image's own data directory, which needs no download."""
    folder = Path(skimage.__file__).parent / "data"
    choices = {file.stem: file for suffix in ("png", "jpg") for file in folder.glob(f"*.{suffix}")}
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {_SHIPPED}{close[0]}? " if close else ""
    listed = ", ".join(sorted(choices))
    require(name in choices, f"scikit-image ships no picture {name!r}; {hint}choose from {listed}")
    return choices[name]
