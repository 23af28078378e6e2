"""The connected parts of a mesh, and the largest of them."""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph


def components(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which part each face is of, (F,), and each part's area, (P,), in units² of the vertices, the largest first.

    Args:
        vertices: (V, 3).
        faces: (F, 3), whose vertices are shared by those that hang together.

    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [4, 0, 0], [2, 2, 0]])
    >>> components(corners, np.array([[0, 1, 2], [3, 4, 5]]))
    (array([1, 0]), array([2. , 0.5]))
    """
    if not len(faces):
        return np.zeros(0, int), np.zeros(0)
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(edges), bool), tuple(edges.T)), (len(vertices), len(vertices)))
    _, of_vertex = csgraph.connected_components(graph, directed=False)
    _, of_face = np.unique(of_vertex[faces[:, 0]], return_inverse=True)  # vertices of no face are no part
    area = np.bincount(of_face, np.linalg.norm(normals(vertices, faces), axis=1) / 2)
    order = np.argsort(-area, kind="stable")
    return np.argsort(order)[of_face], area[order]


def largest(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the part with the largest area alone."""
    of_face, _ = components(vertices, faces)
    kept, faces = np.unique(faces[of_face == 0], return_inverse=True)
    return vertices[kept], faces.reshape(-1, 3)


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3), outward normals of the faces, as long as twice their area."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return np.cross(b - a, c - a)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3), unit normals of the vertices: the mean over their faces by area; zero where there is none."""
    of_face = normals(vertices, faces)
    summed = [sum(np.bincount(faces[:, k], of_face[:, d], len(vertices)) for k in range(3)) for d in range(3)]
    found = np.stack(summed, axis=1)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-300)
