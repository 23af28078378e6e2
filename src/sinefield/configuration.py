"""From config nodes to objects, with every mistake as one line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from sinefield.errors import UserError, require

OmegaConf.register_new_resolver("times", lambda *factors: math.prod(factors), replace=True)


def build(node: Any, **more: Any) -> Any:
    """The object a config node describes; what its constructor finds wrong becomes one line."""
    with mendable(str(node._get_full_key(None)) if isinstance(node, DictConfig) else ""):
        return instantiate(node, _convert_="all", **more)


@contextmanager
def mendable(where: str) -> Iterator[None]:
    """Turn the complaints of constructors about their arguments into a `UserError` that says where."""
    try:
        yield
    except UserError:
        raise
    except (CompactHydraException, TypeError, ValueError) as error:
        cause: BaseException = error
        while isinstance(cause, CompactHydraException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        if not isinstance(cause, CompactHydraException | TypeError | ValueError):
            raise
        raise UserError(f"{where}: {' '.join(str(cause).split())}") from error


def settle(node: DictConfig | ListConfig, path: str = "") -> None:
    """Read the word none as null, and refuse NaN, infinity and what is still missing, anywhere in the configuration."""
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    for key in keys:
        name = f"{path}{key}"
        require(not OmegaConf.is_missing(node, key), f"{name} has no default; add {name}=… to the command")
        if OmegaConf.is_interpolation(node, key):
            continue
        value = node[key]
        if isinstance(value, DictConfig | ListConfig):
            settle(value, f"{name}.")
        elif value == "none":
            node[key] = None
        elif isinstance(value, float):
            require(math.isfinite(value), f"{name} must be a finite number, not {value}")
