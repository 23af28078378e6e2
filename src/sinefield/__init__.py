"""sinefield: fit sinusoidal networks to signals from their values, gradients or Laplacians.

>>> import torch
>>> from sinefield import Siren
>>> field = Siren(in_features=2, out_features=3, width=64, depth=2)
>>> jet = field.jet(torch.zeros(5, 2), order=2)
>>> jet.value.shape, jet.gradient.shape, jet.laplacian.shape
(torch.Size([5, 3]), torch.Size([5, 3, 2]), torch.Size([5, 3]))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sinefield.compression.files import decompress
    from sinefield.core.jet import Jet, autograd_jet
    from sinefield.fields.mlp import CoordinateMLP, Siren
    from sinefield.interactive import fit
    from sinefield.render.upscale import upscale
    from sinefield.runs.loading import load

__all__ = ["CoordinateMLP", "Jet", "Siren", "autograd_jet", "decompress", "fit", "load", "upscale"]

_HOMES = {"CoordinateMLP": "fields.mlp", "Siren": "fields.mlp", "Jet": "core.jet", "autograd_jet": "core.jet"}
_HOMES |= {"decompress": "compression", "fit": "interactive", "load": "runs.loading", "upscale": "render.upscale"}


def __getattr__(name: str) -> Any:
    """What lives in a module that needs torch, once it is asked for: Hydra loads this package before any --help."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
