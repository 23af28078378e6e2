"""A ring whose signed distance is known in closed form: flat inside with two sharp edges, round outside.

It is the solid of revolution about its axis of a profile in (q, z), q = rho - R, rho the distance from the axis: the
union of the rectangle -A <= q <= 0, |z| <= H and the half disc q >= 0, q^2 + z^2 <= H^2, which meet smoothly.

    f = hypot(q, z) - H                                                 for q > 0
    f = hypot(u+, v+) + min(max(u, v), 0),   u = -q - A,  v = |z| - H   for q <= 0

Exact everywhere, inside and outside, where A >= H and R > A: the nearest point of a solid of revolution lies in the
half plane of the point itself. Its gradient jumps on the medial axis, which lies inside, and on the axis of revolution.
Source for the rectangle: Quilez, 2D distance functions.
"""

import math

import torch
from torch import Tensor

RADIUS, BREADTH, HALF_HEIGHT = 0.56, 0.28, 0.24  # R, A, H, in units of the box
_TILT = 0.4, 0.7  # radians, of the axis about x, then about z: no face is parallel to the grid


def rotation() -> Tensor:
    """(3, 3), from the ring's own axes to the box's, in double precision."""
    (ca, sa), (cb, sb) = [(math.cos(angle), math.sin(angle)) for angle in _TILT]
    about_x = torch.tensor([[1, 0, 0], [0, ca, -sa], [0, sa, ca]], dtype=torch.float64)
    about_z = torch.tensor([[cb, -sb, 0], [sb, cb, 0], [0, 0, 1]], dtype=torch.float64)
    return about_z @ about_x


def distance(x: Tensor) -> Tensor:
    """(N, 1), f at x (N, 3): below 0 inside."""
    own = x @ rotation().to(x)
    q, z = _length(own[:, :2]) - RADIUS, own[:, 2:].abs()
    u, v = -q - BREADTH, z - HALF_HEIGHT
    flat = _length(torch.cat([u.relu(), v.relu()], dim=1)) + torch.maximum(u, v).clamp(max=0)
    return torch.where(q > 0, _length(torch.cat([q.relu(), z], dim=1)) - HALF_HEIGHT, flat)


def _length(v: Tensor) -> Tensor:
    """(N, 1), with a derivative of 0 at 0."""
    square = v.square().sum(dim=1, keepdim=True)
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


def sample(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(count, 3) points spread evenly over the surface and (count, 3) unit normals there, in double precision."""
    r, a, h = RADIUS, BREADTH, HALF_HEIGHT
    inner = r - a
    flat, wall, arc = math.pi * (r**2 - inner**2), 2 * math.pi * inner * 2 * h, 2 * math.pi * h * (math.pi * r + 2 * h)
    areas = torch.tensor([flat, flat, wall, arc], dtype=torch.float64)
    part = torch.multinomial(areas, count, replacement=True, generator=generator)
    s, t, turn = torch.rand(3, count, dtype=torch.float64, generator=generator)
    side = torch.where(part == 0, 1.0, -1.0).double()
    angle = _angle(t)
    zero = torch.zeros_like(s)
    rho = torch.where(part < 2, (inner**2 + s * (r**2 - inner**2)).sqrt(), inner)
    rho = torch.where(part == 3, r + h * angle.cos(), rho)
    z = torch.where(part < 2, side * h, (2 * s - 1) * h)
    z = torch.where(part == 3, h * angle.sin(), z)
    out = torch.where(part == 3, angle.cos(), torch.where(part == 2, -1.0, zero))
    up = torch.where(part == 3, angle.sin(), torch.where(part < 2, side, zero))
    around = torch.stack([(2 * math.pi * turn).cos(), (2 * math.pi * turn).sin()], dim=1)
    turned = rotation().T
    points = torch.cat([rho[:, None] * around, z[:, None]], dim=1) @ turned
    return points, torch.cat([out[:, None] * around, up[:, None]], dim=1) @ turned


def _angle(t: Tensor) -> Tensor:
    """Angles whose density is R + H cos(angle) on [-pi/2, pi/2], from t in [0, 1], by Newton's method."""
    r, h = RADIUS, HALF_HEIGHT
    angle = math.pi * (t - 0.5)
    for _ in range(8):
        excess = r * (angle + math.pi / 2) + h * (angle.sin() + 1) - t * (math.pi * r + 2 * h)
        angle = angle - excess / (r + h * angle.cos())
    return angle
