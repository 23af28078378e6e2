"""Encodings, one per file: fixed maps of the coordinates in front of the first layer, each with its jet rule."""
