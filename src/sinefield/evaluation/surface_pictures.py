"""Rendered views of a mesh, and slices of the function whose zero it is, as PNG."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sinefield.core.jet import Jet
from sinefield.evaluation.rasteriser import rasterise
from sinefield.solvers.components import vertex_normals

ANGLES = ((35.0, 20.0), (125.0, 20.0), (215.0, 20.0), (35.0, 75.0))  # degrees; three around, one from above
_FINER = 2  # pixels are drawn per pixel and side, and averaged
_BATCH = 8192
_STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 9}


def views(
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray | None = None,
    size: int = 480,
    angles: Sequence[tuple[float, float]] = ANGLES,
    up: int = 1,
) -> bytes:
    """A mesh from several sides, in a row, its normals as colour, as PNG.

    Red, green and blue are (n + 1) / 2 of the normal n along x, y and z, lit from the viewer. The projection is
    parallel, of one scale for all views, and faces are seen from both sides.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        normals: (V, 3), of length 1; None for those of the mesh.
        size: of a view, in pixels along each side.
        angles: where each viewer stands, in degrees: around the upright axis from the next one, and above the horizon.
        up: which axis is upright: 1, y, as most files have it; the next one is z.
    """
    normals = vertex_normals(vertices, faces) if normals is None else normals
    order = [(up + 1) % 3, (up + 2) % 3, up]  # a right-handed system still: nothing is mirrored
    centred = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    radius = max(np.linalg.norm(centred, axis=1).max(initial=0.0), 1e-300)
    pictures = [_view(centred[:, order] / radius, faces, normals[:, order], normals, size, *angle) for angle in angles]
    about = PngInfo()
    about.add_text("Description", "red, green, blue: -1 to 1 of the outward normal's x, y, z; lit from the viewer")
    file = BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(file, "PNG", pnginfo=about)
    return file.getvalue()


def _view(
    points: np.ndarray,
    faces: np.ndarray,
    turned: np.ndarray,
    normals: np.ndarray,
    size: int,
    around: float,
    above: float,
) -> np.ndarray:
    """(size, size, 3) uint8 of points and normals (V, 3) in the unit ball, the third axis upright."""
    a, e = np.radians(around), np.radians(above)
    right = np.array([-np.sin(a), np.cos(a), 0])
    back = -np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])  # from the viewer
    upward = np.cross(right, back)
    finer = _FINER * size
    scale = 0.48 * finer
    screen = np.stack([scale * points @ right, -scale * points @ upward, points @ back], axis=1)
    screen[:, :2] += (finer - 1) / 2
    seen, weights = rasterise(screen, faces, finer, finer)
    there = seen >= 0
    corner, share = faces[seen[there]], weights[there][..., None]
    normal, facing = ((of[corner] * share).sum(axis=1) for of in (normals, turned @ -back[:, None]))
    length = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    picture = np.ones((finer, finer, 3))
    picture[there] = (normal / length + 1) / 2 * (0.5 + 0.5 * np.abs(facing / length))
    picture = picture.reshape(size, _FINER, size, _FINER, 3).mean(axis=(1, 3))
    return np.rint(255 * picture.clip(0, 1)).astype(np.uint8)


@matplotlib.rc_context(_STYLE)
def slices(
    jet: Callable[[torch.Tensor, int], Jet],
    low: ArrayLike,
    high: ArrayLike,
    caption: str = "",
    truth: Callable[[torch.Tensor], torch.Tensor] | None = None,
    middle: ArrayLike | None = None,
    resolution: int = 200,
) -> bytes:
    """Three slices of a signed distance, and of how far its slope is from 1, as PNG.

    Above f, blue inside and red outside, with lines of equal distance and a heavy one at 0; below |grad f| - 1.

    Args:
        jet: f's value (N, 1) and gradient (N, 1, 3) at points (N, 3), float64 on the CPU, by its order 1.
        low, high: the box, three numbers each.
        caption: the line below.
        truth: the true distance (N, 1) at points (N, 3), whose zero is dashed; None where it is not known.
        middle: the point that all slices pass; None for the box's.
        resolution: points along the longest side.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    through = (low + high) / 2 if middle is None else np.asarray(middle, float)
    figure = Figure(figsize=(13, 7.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2, 3, squeeze=False)
    planes = [_plane(low, high, through, axis, resolution) for axis in range(3)]
    found = [_values(jet, points) for _, _, points in planes]
    limit = max(np.nanpercentile(np.abs(np.concatenate([f.ravel() for f, _ in found])), 99.0), 1e-9)
    step = limit / 8
    for axis, ((one, other, points), (value, slope)) in enumerate(zip(planes, found, strict=True)):
        grids = (low[one], high[one], low[other], high[other])
        for panel, shown, most, colours in zip(
            rows[:, axis], (value, slope - 1), (limit, 1.0), ("RdBu_r", "PuOr_r"), strict=True
        ):
            panel.imshow(shown, colours, vmin=-most, vmax=most, origin="lower", extent=grids, interpolation="bilinear")
            panel.set(xlabel="xyz"[one], ylabel="xyz"[other])
            panel.locator_params(nbins=5)
        x, y = points[0, :, one], points[:, 0, other]
        rows[0, axis].set_title(f"{'xyz'[axis]} = {through[axis]:.3g}")
        lines = [k * step for k in range(-8, 9) if k]
        rows[0, axis].contour(x, y, value, lines, colors="#00000055", linewidths=0.6, linestyles="solid")
        for panel in rows[:, axis]:
            _zero(panel, x, y, value, colors="black", linewidths=1.8)
        if truth is not None:
            exact = truth(torch.from_numpy(points.reshape(-1, 3))).double().cpu().numpy().reshape(value.shape)
            _zero(rows[0, axis], x, y, exact, colors="#2f9e44", linewidths=1.2, linestyles="dashed")
    for row, most, colours, name in zip(rows, (limit, 1.0), ("RdBu_r", "PuOr_r"), ("f", "|∇f| - 1"), strict=True):
        bar = ScalarMappable(Normalize(-most, most), colours)
        figure.colorbar(bar, ax=list(row), label=name, extend="both", pad=0.01)
    dashed = "" if truth is None else "; green, dashed: the true surface"
    figure.supxlabel(f"{caption}\nlines of equal f are {step:.2g} apart; heavy: f = 0{dashed}".strip(), fontsize=9)
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _zero(panel: Axes, x: np.ndarray, y: np.ndarray, value: np.ndarray, **style: Any) -> None:
    """The line of value = 0, where there is one: matplotlib warns where there is none."""
    if (value < 0).any() and (value > 0).any():
        panel.contour(x, y, value, [0.0], **style)


def _plane(
    low: np.ndarray, high: np.ndarray, through: np.ndarray, axis: int, resolution: int
) -> tuple[int, int, np.ndarray]:
    """The two axes, to the right and up, of the plane across `axis`, and its points (H, W, 3)."""
    one, other = [d for d in range(3) if d != axis]
    cell = (high - low).max() / resolution
    x, y = (np.linspace(low[d], high[d], max(2, round((high[d] - low[d]) / cell))) for d in (one, other))
    points = np.empty((len(y), len(x), 3))
    points[..., axis], points[..., one], points[..., other] = through[axis], x, y[:, None]
    return one, other, points


def _values(jet: Callable[[torch.Tensor, int], Jet], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f and |grad f| at points (H, W, 3), (H, W) each."""
    value, slope = [], []
    for x in torch.from_numpy(points.reshape(-1, 3)).split(_BATCH):
        with torch.no_grad():
            found = jet(x, 1)
        assert found.gradient is not None
        value.append(found.value.detach())
        slope.append(found.gradient.detach().flatten(1).norm(dim=1))
    f, size = (torch.cat(parts).double().cpu().numpy().reshape(points.shape[:2]) for parts in (value, slope))
    return f, size
