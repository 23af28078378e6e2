"""When a kernel may stand in for the plain rules of jets, and which one."""

import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from sinefield.core import autocast
from sinefield.kernels import operations

_PLAIN = (Tensor, nn.Parameter)


def eager(*tensors: Tensor | None) -> bool:
    """Whether torch runs operations at once on plain tensors, which is all that a kernel understands.

    False while something must see the operations themselves: a tracer or compiler, a transform of torch.func,
    forward-mode differentiation, autocast, a mode or a subclass that takes operations over.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    return (
        all(type(tensor) in _PLAIN and not autocast.is_on(tensor.device.type) for tensor in given)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_function_stack() == 0
        and _get_current_dispatch_mode() is None
        and forward_ad._current_level < 0
    )


def backend(like: Tensor) -> ModuleType:
    """What computes sines of such a tensor: compiled loops on the CPU where they work, else torch's operations."""
    return _compiled() if like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64) else operations


@cache
def _compiled() -> ModuleType:
    """The compiled loops where they can be compiled and compute what torch does; elsewhere torch's operations."""
    z = torch.linspace(-9, 9, 8).reshape(2, 4)
    try:
        import numba  # noqa: PLC0415  takes a while to load

        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return operations
        from sinefield.kernels import compiled  # noqa: PLC0415

        arguments = z, z[None], z[None], None, 3.0
        same = all(map(torch.allclose, compiled.jet(*arguments), operations.jet(*arguments)))
        failed = "" if same else "they compute something else than torch does"
    except Exception as error:  # whatever a compiler that cannot work raises
        failed = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if not failed:
        return compiled
    warnings.warn(f"compiled loops are off, which costs a tenth of the speed ({failed})", stacklevel=2)
    return operations


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b, of (n, k) and (k, m), or of derivatives (D, n, k) and one (k, m) for all."""
    if a.dim() > b.dim():
        return product(a.flatten(-3, -2), b).unflatten(-2, a.shape[-3:-1])
    with autocast.off(a.device.type):  # a kernel runs without it, but the backward pass may be under it
        return a @ b


def recorded(rule: Callable[..., list[Tensor]], inputs: tuple[Tensor | None, ...], grads: Any) -> list[Tensor | None]:
    """The derivatives by the inputs as autograd finds them by the plain rules; None for those that need none."""
    wanted = [part for part in inputs if part is not None and part.requires_grad]
    given, again = [grad for grad in grads if grad is not None], torch.is_grad_enabled()
    with torch.enable_grad():
        found = iter(torch.autograd.grad(rule(*inputs), wanted, given, create_graph=again, allow_unused=True))
    return [next(found) if part is not None and part.requires_grad else None for part in inputs]
