"""Pictures as functions in a few thousand bytes: `.sine` files."""

from sinefield.compression.files import Decoded, decompress
from sinefield.compression.sources import compare, compress_picture, compress_run

__all__ = ["Decoded", "compare", "compress_picture", "compress_run", "decompress"]
