"""What fits a field: batches, gradients, checkpoints, on Lightning.

Lightning imports torchmetrics, and that imports scipy.signal and matplotlib.pyplot, for its metrics of sound and for
`plot`, which no fit uses: 1.2 s of CPU time. So torchmetrics is imported here, before Lightning, and finds neither
package installed meanwhile. In this process its own `plot` and `permutation_invariant_training` do without them.
"""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from typing import Any

from lightning_utilities.core import imports

_LOOKUPS = {name: vars(imports).get(name) for name in ("find_spec", "_version")}  # how it looks for packages


def _hiding(look_up: Callable[..., Any]) -> Callable[..., Any]:
    def found(name: str, *more: Any) -> Any:
        if name in ("scipy", "matplotlib"):
            raise PackageNotFoundError(name)
        return look_up(name, *more)

    return found


if "torchmetrics" not in sys.modules and all(_LOOKUPS.values()):  # else another version looks in another way
    vars(imports).update({name: _hiding(look_up) for name, look_up in _LOOKUPS.items() if look_up})
    try:
        import torchmetrics  # noqa: F401
    finally:
        vars(imports).update(_LOOKUPS)
        imports.package_available.cache_clear()
        imports.module_available.cache_clear()
