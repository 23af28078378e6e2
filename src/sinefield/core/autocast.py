"""What torch's autocast may round: the factors of large matrix products, and nothing else."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

MIN_PRODUCT = 16  # rows and columns of a matrix that may be rounded: never coordinates, which need all their bits


def is_on(device: str) -> bool:
    """Whether products on such a device are to be rounded now; some devices know no autocast at all."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def product_dtype(device: str, weight: Tensor) -> torch.dtype | None:
    """What the factors of a product with `weight` are rounded to while autocast is on; None where it is too small."""
    return torch.get_autocast_dtype(device) if min(weight.shape[-2:]) >= MIN_PRODUCT else None


def off(device: str) -> AbstractContextManager[object]:
    """Within it, operations have the precision of their operands."""
    return torch.autocast(device, enabled=False) if is_on(device) else nullcontext()
