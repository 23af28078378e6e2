"""What is fitted, by what, and how it is compared: signal, field and loss, built from a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig

from sinefield.errors import require
from sinefield.fields.stack import stack_fields
from sinefield.runs.configuration import as_user_error, build
from sinefield.runs.fingerprints import fingerprints
from sinefield.runs.loading import build_field, initialise

if TYPE_CHECKING:
    from sinefield.evaluation.base import Evaluation
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal


def build_problem(
    config: DictConfig, start: bool = True
) -> tuple[Signal, CoordinateMLP, Loss, dict[str, torch.Tensor], list[Evaluation]]:
    """Signal, field, loss, mean square of each term, evaluation of each field; `config.derived` is filled in.

    A signal of several that lie side by side is fitted by a stack of fields, which all start alike: from the seed, or
    from the weights of the run `field.init`, unless `start` is False since a checkpoint has others.
    """
    signal = build(config.signal)
    own = [part for part, _ in signal.components().values()] or [signal]  # each for a field of its own
    derived = {"dims": signal.dims, "channels": own[0].channels, "samples": max(signal.shape)}
    config.derived = derived | {"files": fingerprints(signal.files)}
    field = build_field(config.field)
    if start and config.field.get("init") is not None:
        initialise(field, config.field.init)
    with as_user_error("field"):
        channels = field(signal.grid(torch.zeros(1, dtype=torch.long))).shape[-1]
    require(channels == own[0].channels, f"field.out_features is {channels}, and the signal has {own[0].channels}")
    loss = build(config.loss)
    evaluations = [build(config.evaluation, signal=part, loss=loss) for part in own]
    config.derived = {**config.derived, "scores": evaluations[0].described()}  # read by the dashboard until the end
    mean_squares = {name: torch.stack([term.mean_square(part) for part in own]) for name, term in loss.terms.items()}
    if signal.components():
        field = stack_fields([field] * len(own))
    else:
        mean_squares = {name: value[0] for name, value in mean_squares.items()}
    require(
        loss.order <= field.max_order,
        f"this loss looks at derivatives of order {loss.order}, and those of "
        f"{type(field.activation).__name__} vanish almost everywhere from order {field.max_order + 1} on; "
        f"use activation=sine, or a loss of lower order (loss=gradient, or loss=sobolev loss.terms.laplacian=null)",
    )
    return signal, field, loss, mean_squares, evaluations
