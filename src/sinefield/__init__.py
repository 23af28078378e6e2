"""sinefield: fit sinusoidal networks to signals from their values, gradients or Laplacians.

>>> import torch
>>> from sinefield import Siren
>>> field = Siren(in_features=2, out_features=3, width=64, depth=2)
>>> jet = field.jet(torch.zeros(5, 2), order=2)
>>> jet.value.shape, jet.gradient.shape, jet.laplacian.shape
(torch.Size([5, 3]), torch.Size([5, 3, 2]), torch.Size([5, 3]))
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sinefield.field import CoordinateMLP, Siren
from sinefield.jet import Jet, autograd_jet

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import nn

__all__ = ["CoordinateMLP", "Jet", "Siren", "autograd_jet", "load"]


def load(folder: str | Path, checkpoint: str = "last", trust: Collection[str] = ()) -> nn.Module:
    """The field of a finished run as a plain module; see `sinefield.run.load`."""
    from sinefield.run import load as load_run  # noqa: PLC0415  Lightning and Hydra wait until they are needed

    return load_run(folder, checkpoint, trust)
