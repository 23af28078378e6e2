"""Pictures of many runs for one page: small WebP copies inside it, up to a limit, and links beyond."""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from pathlib import Path

from PIL import Image

KINDS = (
    "ground_truth",
    "reconstruction",
    "error",
    "gradient_signal",
    "gradient_field",
    "laplacian_signal",
    "laplacian_field",
)
SIDE = 256  # pixels; the page shows them smaller, and the whole picture is a click away
BUDGET = 20_000_000  # bytes of WebP in one page: 27 MB as base64


class Thumbnails:
    """Collects pictures; equal files, such as the truth of a hundred runs, are kept once.

    Args:
        budget: bytes of WebP; pictures that come after it is spent are linked.

    Attributes:
        data: key -> data URI.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.data: dict[str, str] = {}
        self.left = budget

    def add(self, path: Path) -> tuple[str | None, int, int, str]:
        """A picture's key in `data`, or None where it is to be linked, its width and height, and what its colours mean.

        Raises:
            ValueError: it is no whole picture; the message names the file.
            FileNotFoundError: there is none.
        """
        if not path.is_file() and path.exists():
            raise ValueError(f"{path.name} is no ordinary file")
        content = path.read_bytes()
        key = hashlib.sha1(content, usedforsecurity=False).hexdigest()[:16]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
                    width, height = picture.size
                    meaning = str(picture.info.get("Description", ""))[:200]
                    if key not in self.data and self.left > 0:
                        self.data[key] = self._uri(picture)
                    elif key not in self.data:
                        picture.verify()  # checksums alone: a page of thousands of runs must not decode them all
        except Image.DecompressionBombWarning:
            return None, 0, 0, ""
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path.name} is no whole PNG") from error
        return key if key in self.data else None, width, height, meaning

    def _uri(self, picture: Image.Image) -> str:
        small = picture.convert("RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        # Below 100 pixels the blocks of a lossy picture would be seen, and lossless costs little.
        small.save(file, "WEBP", lossless=max(small.size) < 100, quality=85, method=2)
        self.left -= file.tell()
        return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
