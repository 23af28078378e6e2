"""A medium beside the true one and that at the start, and the data that it explains, as PNG."""

from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 9}
_CURVES = 6  # drawn at most


@matplotlib.rc_context(_STYLE)
def models(
    truth: np.ndarray, start: np.ndarray, found: np.ndarray, sources: np.ndarray, receivers: np.ndarray, caption: str
) -> bytes:
    """Four panels: true medium, start, recovered, and error, with sources (stars) and receivers (dots), as PNG.

    Args:
        truth, start, found: (H, W), on one scale.
        sources, receivers: (S, 2) and (R, 2), numbers of nodes, (row, column).
        caption: the line below.
    """
    height, width = truth.shape
    rows, columns = (2, 2) if width < 2 * height else (4, 1)
    wide = 5.0 if columns == 2 else 10.0
    figure = Figure(
        figsize=(wide * columns, rows * (0.87 * wide * height / width + 0.3) + 0.6), dpi=110, facecolor="white"
    )
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    low, high = min(truth.min(), start.min()), max(truth.max(), start.max())
    error = found - truth
    most = max(float(np.abs(error).max()), 1e-12)
    panels = [("true medium", truth), ("at the start", start), ("recovered", found), ("recovered - true", error)]
    for axes, (name, picture) in zip(figure.subplots(rows, columns).flat, panels, strict=True):
        limits, colours = ((-most, most), "RdBu_r") if picture is error else ((low, high), "viridis")
        image = axes.imshow(picture, colours, vmin=limits[0], vmax=limits[1])
        figure.colorbar(image, ax=axes, shrink=0.85)
        axes.set_title(name)
        axes.set_axis_off()
        if picture is truth:
            axes.plot(receivers[:, 1], receivers[:, 0], ".", color="white", markersize=3)
            axes.plot(sources[:, 1], sources[:, 0], "*", color="red", markersize=7)
    figure.supxlabel(caption, fontsize=8)
    return _png(figure)


@matplotlib.rc_context(_STYLE)
def curves(observed: np.ndarray, start: np.ndarray, found: np.ndarray, caption: str) -> bytes:
    """Some of the A curves of one source, (A, B) each: measured, of the medium at the start, of that recovered."""
    chosen = np.unique(np.linspace(0, len(observed) - 1, min(len(observed), _CURVES)).round().astype(int))
    figure = Figure(figsize=(10, 1.5 * len(chosen) + 1), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, k in zip(figure.subplots(len(chosen), 1, sharex=True, squeeze=False).flat, chosen, strict=True):
        axes.plot(start[k], color="0.7", linewidth=1, label="at the start")
        axes.plot(observed[k], color="black", linewidth=1.4, label="measured")
        axes.plot(found[k], "--", color="#e8590c", linewidth=1.2, label="recovered")
        axes.set_ylabel(f"curve {k}")
    figure.axes[0].legend(ncols=3, fontsize=8, loc="upper right")
    figure.supxlabel(f"one source's data along their receivers or samples; {caption}", fontsize=8)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
