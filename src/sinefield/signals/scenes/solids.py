"""The scene that comes with the program: textured solids on a disc, lit by one lamp, exact from any side.

Solids are given by their signed distances, and rays meet them by sphere tracing (Hart 1996), to 1e-5. A texture is a
product of sines of the place; the light is Lambert's with a Phong highlight, without shadows.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.signals.scenes.cameras import Camera

RADIUS = 1.0  # half the side of the box in which all solids lie
ANGLE = 0.7  # radians, field of view
DISTANCE = 1.0 / math.tan(ANGLE / 2)  # of the cameras from the middle: they see the box
_TOUCH, _STEPS = 1e-5, 200
_BLENDED = 0.01  # units within which the colours of two solids that touch are blended
_LAMP = (0.48, -0.36, 0.8)
_PALE = ((0.90, 0.35, 0.25), (0.25, 0.55, 0.90), (0.95, 0.80, 0.30), (0.80, 0.80, 0.78))  # of ball, block, ring, disc
_DARK = ((0.45, 0.10, 0.20), (0.10, 0.20, 0.45), (0.55, 0.35, 0.10), (0.30, 0.36, 0.34))
_WAVES = (19.0, 15.0, 25.0, 13.0)  # radians per unit of their textures


def distances(x: Tensor) -> Tensor:
    """(N, 4), signed distances from ball, rounded block, ring and disc, at x (N, 3), z up."""
    ball = (x - x.new_tensor([-0.42, -0.12, -0.12])).norm(dim=1) - 0.36
    q = (x - x.new_tensor([0.38, 0.32, -0.12])).abs() - x.new_tensor([0.22, 0.22, 0.32])
    block = q.relu().norm(dim=1) + q.amax(dim=1).clamp(max=0) - 0.04
    p = x - x.new_tensor([0.22, -0.45, -0.22])
    ring = torch.hypot(torch.hypot(p[:, 0], p[:, 2]) - 0.2, p[:, 1]) - 0.07
    flat = torch.stack([x[:, :2].norm(dim=1) - 0.86, (x[:, 2] + 0.54).abs() - 0.05], dim=1)
    disc = flat.relu().norm(dim=1) + flat.amax(dim=1).clamp(max=0)
    return torch.stack([ball, block, ring, disc], dim=1)


def paint(x: Tensor) -> Tensor:
    """(N, 3) in [0, 1], the colour of the nearest solid's texture at x (N, 3), without light; blended where two are."""
    nearest = torch.softmax(distances(x) / -_BLENDED, dim=1)
    wave = x.new_tensor(_WAVES)[:, None] * x[:, None]  # (N, 4, 3)
    mix = 0.5 + 0.5 * torch.sin(wave[..., :1]) * torch.sin(wave[..., 1:2]) + 0.25 * torch.sin(1.7 * wave[..., 2:])
    mix = mix.clamp(0, 1)
    each = mix * x.new_tensor(_PALE) + (1 - mix) * x.new_tensor(_DARK)
    return (nearest[..., None] * each).sum(dim=1)


def normals(x: Tensor) -> Tensor:
    """(N, 3), the gradient of the distance at x (N, 3), of length 1."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(distances(x).amin(dim=1).sum(), x)
    return gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1e-12)


def cast(origins: Tensor, rays: Tensor, background: float) -> tuple[Tensor, Tensor]:
    """What rays (N, 3) from origins (N, 3) see: colours (N, 3) in [0, 1], and how far it is, (N,), inf for nothing."""
    t, far = (rays * -origins).sum(1) - 1.8, (rays * -origins).sum(1) + 1.8  # the box lies in a ball of 3^(1/2)
    going = torch.arange(len(rays))
    hit = torch.zeros(len(rays), dtype=torch.bool)
    for _ in range(_STEPS):
        near = distances(origins[going] + t[going, None] * rays[going]).amin(dim=1)
        t[going] += near
        hit[going[near < _TOUCH]] = True
        going = going[(near >= _TOUCH) & (t[going] < far[going])]
        if not len(going):
            break
    x = origins[hit] + t[hit, None] * rays[hit]
    n, lamp = normals(x), rays.new_tensor(_LAMP)
    facing = (n @ lamp).clamp(min=0)[:, None]
    mirrored = ((2 * (n @ lamp)[:, None] * n - lamp) * -rays[hit]).sum(1)  # cosine of the lamp's reflection and the eye
    shine = 0.25 * mirrored.clamp(min=0)[:, None] ** 20 * (facing > 0)
    colours = torch.full_like(rays, background)
    colours[hit] = (paint(x) * (0.45 + 0.55 * facing) + shine).clamp(0, 1)
    return colours, torch.where(hit, t, math.inf)


def around(count: int, phase: float) -> list[Camera]:
    """`count` cameras on the upper half of a sphere, evenly by area, all looking at the middle."""
    cameras = []
    for k in range(count):
        z = 0.12 + 0.8 * (k + 0.5) / count
        turn = math.pi * (1 + 5**0.5) * k + phase
        back = np.array([math.sqrt(1 - z * z) * math.cos(turn), math.sqrt(1 - z * z) * math.sin(turn), z])
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right)
        pose = np.stack([right, np.cross(back, right), back, DISTANCE * back], axis=1)
        focal = 0.5 / math.tan(ANGLE / 2)
        cameras.append(Camera(Path(f"view {k}"), pose, (focal, None), None, np.zeros(5), phase != 0))
    return cameras
