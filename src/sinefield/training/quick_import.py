"""Imports torchmetrics without scipy.signal and matplotlib.pyplot, which takes 1.2 s of CPU time less.

Lightning imports torchmetrics, and that imports these two for its metrics of sound and for `plot`, which no fit uses.
While it is imported it finds neither package installed. Afterwards both are imported as ever; in this process alone
torchmetrics' own `plot` and `permutation_invariant_training` do without them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from typing import Any

from lightning_utilities.core import imports


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Have `lightning_utilities` find these packages neither by their files nor by their version.

    Where another version of it looks for them in another way, nothing is hidden.
    """
    real: dict[str, Callable[..., Any]] = {
        name: found for name in ("find_spec", "_version") if (found := getattr(imports, name, None)) is not None
    }

    def find_spec(name: str, *more: Any) -> Any:
        return None if name in packages else real["find_spec"](name, *more)

    def version(name: str) -> Any:
        if name in packages:
            raise PackageNotFoundError(name)
        return real["_version"](name)

    if len(real) == 2:
        vars(imports).update(find_spec=find_spec, _version=version)
    try:
        yield
    finally:
        vars(imports).update(real)
        imports.package_available.cache_clear()
        imports.module_available.cache_clear()


if "torchmetrics" not in sys.modules:
    with hidden("scipy", "matplotlib"):
        import torchmetrics  # noqa: F401
