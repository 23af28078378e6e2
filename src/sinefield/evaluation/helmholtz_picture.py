"""A complex wave field, its truth, the error and the residual, as one PNG."""

from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DECADES = 5  # of a logarithmic map


def maps(truth: np.ndarray, found: np.ndarray, residual: np.ndarray, caption: str) -> bytes:
    """Real part of field and truth, amplitude of both, error, and residual: six maps, as PNG.

    Args:
        truth, found: (n, n) complex, in the physical part.
        residual: (m, m), its modulus in the whole box.
        caption: the line below.
    """
    physical, whole = (-0.5, 0.5, 0.5, -0.5), (-1.0, 1.0, 1.0, -1.0)
    limit = float(np.percentile(np.abs(truth), 99.5))
    signed: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "extent": physical}
    size: dict[str, Any] = {"cmap": "magma", "vmin": 0, "vmax": limit, "extent": physical}
    panels: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("field, real part", found.real, signed),
        ("truth, real part", truth.real, signed),
        ("error, log10", _logarithm(np.abs(found - truth)), {"cmap": "inferno", "extent": physical}),
        ("field, amplitude", np.abs(found), size),
        ("truth, amplitude", np.abs(truth), size),
        ("residual, log10", _logarithm(residual), {"cmap": "inferno", "extent": whole}),
    ]
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(10.5, 6.6), dpi=120, facecolor="white", layout="constrained")
        axes: list[Axes] = list(figure.subplots(2, 3).flat)
        for panel, (name, values, options) in zip(axes, panels, strict=True):
            image = panel.imshow(values, **options)
            panel.set_title(name, fontsize=8)
            figure.colorbar(image, ax=panel, fraction=0.046, pad=0.02)
        for edge in (-0.5, 0.5):  # where the absorbing layers begin
            axes[-1].plot([edge, edge], [-0.5, 0.5], color="white", linewidth=0.5)
            axes[-1].plot([-0.5, 0.5], [edge, edge], color="white", linewidth=0.5)
        figure.supxlabel(caption, fontsize=8)
        file = BytesIO()
        FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def _logarithm(values: np.ndarray) -> np.ndarray:
    """log10, of at least 10^-5 of the largest."""
    largest = max(float(np.nan_to_num(values).max()), 1e-30)
    return np.asarray(np.log10(np.maximum(values, largest * 10.0**-_DECADES)))
