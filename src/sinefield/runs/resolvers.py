"""What the YAMLs of conf/ say in ${...} beside OmegaConf's own; imports no torch, since every `--help` imports it."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import OmegaConf


def register_resolvers() -> None:
    """Have ${times:a,b} mean a b, in every configuration of this process; null where one of them is not known yet."""
    OmegaConf.register_new_resolver("times", _product, replace=True)


def _product(*factors: Any) -> Any:
    return None if None in factors else math.prod(factors)
