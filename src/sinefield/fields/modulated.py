"""Modulations: the pictures share the weights of the base, and of a code are made shifts, scales and the last layer.

    z_i = W_i h_i + b_i      h_{i+1} = s((1 + gamma_i) z_i + beta_i)      f = (W + dW) h + b + db

gamma, beta, dW and db are linear in the code and in what a ReLU network makes of it.
Source: shifts, Dupont et al., From data to functa, arXiv 2201.12204; scales and shifts (FiLM), Chan et al., pi-GAN,
arXiv 2012.00926.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sinefield.errors import integer, require
from sinefield.fields.coded import Encoded
from sinefield.fields.encoders.base import Encoder, perceptron
from sinefield.fields.heads import Heads
from sinefield.fields.mlp import CoordinateMLP


class Modulated(Encoded):
    """A base network whose layers are shifted and scaled, and whose last layer is changed, as the code says.

    Args:
        base, dims, encoder: as of `Encoded`.
        shift, scale, head: which of the three are made.
        hidden: neurons of the ReLU network; 0 for maps that are linear in the code.
        depth: its layers.
    """

    def __init__(
        self,
        base: CoordinateMLP,
        dims: int,
        encoder: Encoder,
        shift: bool = True,
        scale: bool = True,
        head: bool = True,
        hidden: int = 256,
        depth: int = 2,
    ) -> None:
        super().__init__(base, dims, encoder)
        require(shift or scale or head, "field: all modulations are switched off; keep shift, scale or head")
        hidden, depth = integer("field.hidden", hidden, least=0), integer("field.depth", depth, least=1)
        own = dict(base.named_parameters())
        layers = [f"layers.{i}" for i in range(len(base.layers))]
        start: dict[str, Tensor] = {f"{name}.bias": own[f"{name}.bias"] for name in layers} if shift else {}
        start |= {f"{name}.scale": torch.ones(len(own[f"{name}.bias"])) for name in layers} if scale else {}
        start |= {name: own[name] for name in ("head.weight", "head.bias")} if head else {}
        self.mapping = perceptron(encoder.code, *[hidden] * depth) if hidden else None
        self.heads = Heads(encoder.code + hidden, start)

    def weights(self, code: Tensor) -> dict[str, Tensor]:
        """(P, ...) for the tensors that are modulated."""
        features = code if self.mapping is None else torch.cat([code, self.mapping(code).relu()], dim=1)
        made = self.heads([features] * len(self.heads.shapes))
        own = dict(self.base.named_parameters())
        for name in [name for name in made if name.endswith(".scale")]:
            layer, scale = name.removesuffix(".scale"), made.pop(name)
            weight, bias = own[f"{layer}.weight"], own[f"{layer}.bias"]
            made[f"{layer}.weight"] = scale.unsqueeze(-1) * weight
            made[f"{layer}.bias"] = made.get(f"{layer}.bias", 0.0) + scale * bias
        return made
