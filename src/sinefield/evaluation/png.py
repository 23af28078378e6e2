"""PNG files that say what their colours mean."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sinefield.system.files import write_atomically


def write_png(path: Path, picture: np.ndarray, words: str) -> None:
    """Write (H, W, 3) of uint8, with `words` as its `Description`, whole or not at all."""
    about, buffer = PngInfo(), BytesIO()
    about.add_text("Description", words)
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=about)
    write_atomically(path, buffer.getvalue())
