"""Held-out views beside what a field makes of them, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 8}


def sheet(truths: Sequence[np.ndarray], seen: Sequence[Any], caption: str) -> bytes:
    """A column per view, (H, W, 3) uint8: the picture, the field's, the error times 4 and the depth, as PNG."""
    height, width = truths[0].shape[:2]
    with matplotlib.rc_context(_STYLE):
        size = (1.9 * len(truths) * max(1.0, width / height) + 0.6, 1.9 * 4 * max(1.0, height / width) + 0.5)
        figure = Figure(figsize=size, dpi=120, facecolor="white", layout="constrained")
        rows = figure.subplots(4, len(truths), squeeze=False)
        for column, truth, view in zip(rows.T, truths, seen, strict=True):
            found = (view.colours.clamp(-1, 1).numpy() + 1) / 2
            depth = np.where(view.opacity.numpy() > 0.5, view.depth.numpy(), np.nan)
            error = np.abs(found - truth / 255).clip(0, 0.25) * 4
            for axis, shown in zip(column, (truth, found, error, depth), strict=True):
                axis.imshow(shown, cmap="viridis", interpolation="nearest")
                axis.set(xticks=[], yticks=[])
        for axis, name in zip(rows[:, 0], ("held out", "field", "error × 4", "depth"), strict=True):
            axis.set_ylabel(name)
        figure.supxlabel(caption, fontsize=8)
        file = BytesIO()
        FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
