"""A `.sine` file: a picture as a function in a few thousand bytes.

| bytes | what |
|---|---|
| 4 | `SINE` |
| 4 | CRC-32 of all that follows |
| 1 | version of the format, 1 |
| 1 | kind: 0 local waves (`waves.Waves`), 1 a network (`networks.Network`) |
| 2, 2, 1 | height, width, channels of the picture |
| the rest | as the kind's `content` wrote it |

Numbers are little-endian. Nothing in it is run: there are no names of classes and no pickle.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.compression.coder import DAMAGED
from sinefield.compression.networks import Network
from sinefield.compression.waves import Waves
from sinefield.errors import UserError, require
from sinefield.render import Picture
from sinefield.system.files import write_atomically

MAGIC, VERSION = b"SINE", 1
KINDS: tuple[type[Waves] | type[Network], ...] = (Waves, Network)
_HEAD = "<BBHHB"
_LONGEST = 2**28  # bytes


def pack(picture: Waves | Network) -> bytes:
    """The file's content."""
    channels = picture.channels if isinstance(picture, Network) else len(picture.q)
    head = struct.pack(_HEAD, VERSION, KINDS.index(type(picture)), *picture.shape, channels)
    body = head + picture.content()
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def unpack(content: bytes) -> Waves | Network:
    """What `pack` packed; `UserError` where the content is none."""
    require(content[:4] == MAGIC, "it does not begin with SINE, as scripts/compress.py writes it")
    require(len(content) >= 8 + struct.calcsize(_HEAD), "it is cut off; get the file again")
    (checksum,), body = struct.unpack_from("<I", content, 4), content[8:]
    require(checksum == zlib.crc32(body), "it is damaged or cut off: its checksum is another; get the file again")
    version, kind, height, width, channels = struct.unpack_from(_HEAD, body)
    require(version == VERSION and kind < len(KINDS), f"it is of a newer version, {version}; update sinefield")
    require(min(height, width) >= 2 and 1 <= channels <= 4, DAMAGED)
    return KINDS[kind].read(body[struct.calcsize(_HEAD) :], (height, width), channels)


def read(path: str | Path) -> Waves | Network:
    """What is in a file; `UserError`, one line, where that is none or cannot be read."""
    path = Path(path)
    require(path.is_file(), f"there is no file {path}")  # a pipe is waited for
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        require(len(content) <= _LONGEST, "it is too long")
        return unpack(content)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    except UserError as error:
        raise UserError(f"{path} is no picture as a function: {error}") from error


def write(path: str | Path, picture: Waves | Network) -> int:
    """Write a file, whole or not at all; how many bytes it has."""
    content = pack(picture)
    write_atomically(Path(path), content)
    return len(content)


class Decoded(Picture):
    """The function in a file over its picture's (H, W) = `shape` samples: what `sinefield.render.render` draws."""

    def __init__(self, path: str | Path) -> None:
        self.folder, self.device, found = Path(path), torch.device("cpu"), read(path)
        self.field = found.field()
        self.shape, self.every, self.channels = found.shape, 1, self.field.head.out_features


def decompress(path: str | Path) -> torch.nn.Module:
    """The function in a `.sine` file: a module in evaluation mode from (..., 2) to (..., C), with its jets.

    >>> decompress("picture.sine").jet(torch.zeros(5, 2), order=2).laplacian.shape  # doctest: +SKIP
    torch.Size([5, 3])
    """
    return read(path).field()


def samples(shape: tuple[int, int]) -> Tensor:
    """(H W, 2), the coordinates of a picture's samples, rows first."""
    h = 2 / (max(shape) - 1)
    rows, columns = ((torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * h for n in shape)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(-1, 2).float()


def drawn(picture: Waves | Network) -> np.ndarray:
    """(H, W, C) of uint8: the picture as it is written to a PNG."""
    field: torch.nn.Module = picture.field()
    with torch.no_grad():
        values = torch.cat([field(part) for part in samples(picture.shape).split(8192)]).double()
    found: np.ndarray = ((values + 1) * 127.5).round().clamp(0, 255).reshape(*picture.shape, -1).numpy()
    return found.astype(np.uint8)
