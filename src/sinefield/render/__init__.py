"""A finished run at any resolution, any crop, any point."""

from sinefield.render.picture import PARTS, TILE, Picture, at, render, unit, zoom

__all__ = ["PARTS", "TILE", "Picture", "at", "render", "unit", "zoom"]
