"""Triangles as pixels: a z-buffer in NumPy, which bounds its memory and needs no graphics library."""

import numpy as np

_MOST = 2**20  # pixels looked at at once


def rasterise(vertices: np.ndarray, faces: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Which face is seen at each pixel, and where in it.

    Args:
        vertices: (V, 3): column and row in pixels, the first pixel's centre at (0, 0), and depth, less being nearer.
        faces: (F, 3).
        height, width: of the picture.

    Returns:
        (H, W) numbers of faces, -1 where there is none, and (H, W, 3) barycentric weights of their vertices.
    """
    nearest = np.full(height * width, np.inf)
    seen, weights = np.full(height * width, -1), np.zeros((height * width, 3))
    corners = vertices[faces]
    low = np.ceil(corners[..., :2].min(axis=1)).clip(0).astype(int)
    high = np.floor(corners[..., :2].max(axis=1)).clip(-1, [width - 1, height - 1]).astype(int)
    extent = (high - low + 1).max(axis=1)
    extent[(high < low).any(axis=1)] = 0  # no pixel's centre
    side = 1
    while (extent >= side).any():  # those of like size together, in squares of pixels
        chosen = np.flatnonzero((extent >= side) & (extent < 2 * side))
        square = np.stack(np.meshgrid(np.arange(2 * side - 1), np.arange(2 * side - 1)), axis=-1).reshape(-1, 2)
        for part in np.array_split(chosen, -(-len(chosen) * len(square) // _MOST) or 1):
            _draw(corners[part], low[part], part, square, (height, width), nearest, seen, weights)
        side *= 2
    return seen.reshape(height, width), weights.reshape(height, width, 3)


def _draw(
    corners: np.ndarray,
    low: np.ndarray,
    numbers: np.ndarray,
    square: np.ndarray,
    shape: tuple[int, int],
    nearest: np.ndarray,
    seen: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Draw faces with corners (F, 3, 3) at the pixels low (F, 2) + square (P, 2), where they are the nearest."""
    points = low[:, None] + square  # (F, P, 2)
    a, b, c = (corners[:, None, k, :2] for k in range(3))
    area = _cross(b - a, c - a)
    area = np.where(area == 0, np.nan, area)  # a face seen from its edge has no inside
    second, third = _cross(points - a, c - a) / area, _cross(b - a, points - a) / area
    inside = (second >= 0) & (third >= 0) & (second + third <= 1)
    inside &= (points[..., 0] < shape[1]) & (points[..., 1] < shape[0])
    face, point = np.nonzero(inside)
    share = np.stack([second[face, point], third[face, point]], axis=1)
    share = np.concatenate([1 - share.sum(axis=1, keepdims=True), share], axis=1)
    pixel = points[face, point] @ np.array([1, shape[1]])
    depth = (share * corners[face, :, 2]).sum(axis=1)
    np.minimum.at(nearest, pixel, depth)
    won = depth == nearest[pixel]
    seen[pixel[won]], weights[pixel[won]] = numbers[face[won]], share[won]


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
