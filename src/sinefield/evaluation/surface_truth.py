"""The surface that a fit of a shape is compared with: a mesh, a closed form, or points alone."""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from sinefield.core.jet import BLOCK
from sinefield.evaluation.surface_distance import Cloud, Mesh, Nearest
from sinefield.signals.shape import Shape


class Exact:
    """The zero of a distance that is known in closed form, of a shape of which points are known."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def nearest(self, x: np.ndarray) -> Nearest:
        """|distance| and its gradient at x (N, 3)."""
        jets = [self.shape.jet(part, 1) for part in torch.from_numpy(x).split(BLOCK)]
        normals = torch.cat([cast("Tensor", jet.gradient) for jet in jets]).squeeze(1)
        return Nearest(torch.cat([jet.value for jet in jets]).abs().squeeze(1).numpy(), normals.numpy())

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(count, 3) points evenly by area, and (count, 3) unit normals."""
        return self.shape.exact_surface(count, int(rng.integers(2**31)))


def known_surface(shape: Shape) -> Mesh | Cloud | Exact:
    """What is known of a shape, in units of the box."""
    if shape.exact:
        return Exact(shape)
    if shape.faces is not None and shape.vertices is not None:
        return Mesh(shape.vertices, shape.faces)
    normals = None if shape.normals is None else shape.normals.double().cpu().numpy()
    return Cloud(shape.cloud.double().cpu().numpy(), normals)
