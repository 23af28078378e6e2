"""Losses, one per file: two jets in, named scalars out."""
