"""The jet of a field whose layers are watched, replaced or given other weights."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import Proxy
from torch.nn.modules.module import _has_any_global_hook

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import require

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def wanted(field: CoordinateMLP, x: Tensor) -> bool:
    """Whether somebody looks at the calls of the field's modules, or has put other layers in their places."""
    if isinstance(x, Proxy) or _has_any_global_hook():
        return True
    layers = [*field.layers, field.head]
    hooked = any(getattr(module, hooks) for module in (field.encoding, field.activation, *layers) for hooks in _HOOKS)
    return hooked or any(type(layer) is not nn.Linear for layer in layers)


def jet(field: CoordinateMLP, x: Tensor, order: int, operators: Tensor | None = None) -> Jet:
    """The jet by calling one layer after the other, derivatives by autograd; arguments as of `CoordinateMLP.jet`.

    Raises:
        UserError: a layer has no derivatives, or the field is a stack, which calls no layers.
    """
    for i, layer in enumerate([*field.layers, field.head]):
        known, name = isinstance(layer.weight, Tensor), type(layer).__name__
        require(order == 0 or known, f"layer {i} is a {name}, which has no derivatives; ask for order 0")
        several = known and cast("Tensor", layer.weight).dim() > 2
        require(not several, "hooks and replaced layers work on one field: take it out of the stack first")

    def value(x: Tensor) -> Tensor:
        h = field.encoding(Jet(x)).value
        for i, layer in enumerate(field.layers):
            h = field.activation(layer(h), 0, field.is_first(i))[0]
        return cast("Tensor", field.head(h))

    return Jet(value(x)) if order == 0 else autograd_jet(value, x, order, operators)


def jet_given(
    field: CoordinateMLP, parameters: Mapping[str, Tensor], x: Tensor, order: int, operators: Tensor | None = None
) -> Jet:
    """The jet of the field with other parameters, by their names; arguments as of `CoordinateMLP.jet`.

    Raises:
        UserError: the field has no parameter or buffer of such a name.
    """
    own = {name for name, _ in (*field.named_parameters(), *field.named_buffers())}
    unknown = sorted(parameters.keys() - own)
    require(not unknown, f"the field has no {', '.join(unknown)}; give parameters by their names in it")
    given = {f"field.{name}": tensor for name, tensor in parameters.items()}
    return cast("Jet", functional_call(_JetOf(_shell(field)), given, (x, order, operators)))


def _shell(module: nn.Module) -> nn.Module:
    """The same module with the same tensors in places of its own.

    `functional_call` puts other tensors in their places for a while, which another thread would see.
    """
    shell = copy(module)
    shell._parameters, shell._buffers = dict(module._parameters), dict(module._buffers)
    shell._modules = {name: child if child is None else _shell(child) for name, child in module._modules.items()}
    return shell


class _JetOf(nn.Module):
    """A field whose call is `jet`, which is what functional_call calls."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, x: Tensor, order: int, operators: Tensor | None) -> Jet:
        return cast("CoordinateMLP", self.field).jet(x, order, operators)
