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


def closed(faces: np.ndarray) -> bool:
    """Whether every edge of faces (F, 3) is that of two which run along it in opposite directions: a watertight mesh.

    >>> closed(np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])), closed(np.array([[0, 2, 1], [0, 1, 3]]))
    (True, False)
    """
    if not len(faces):
        return False
    count = int(faces.max()) + 1
    ends = np.stack([faces.ravel(), np.roll(faces, -1, axis=1).ravel()]).astype(np.int64)
    forth, back = (np.sort(one * count + other) for one, other in (ends, ends[::-1]))
    return bool((forth == back).all() and (np.diff(forth) > 0).all())


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
