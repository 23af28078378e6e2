"""What a step on a signed distance function costs: this project's, and nested autograd's, f: R^3 -> R.

Both start from equal weights, see the same points and take steps of Adam in turns.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sinefield.benchmarks.steps import OMEGA0, Step, in_turns, peak_memory, sequence
from sinefield.core.jet import Jet, autograd_jet
from sinefield.fields.mlp import Siren
from sinefield.losses.base import Loss
from sinefield.losses.curvature import Divergence
from sinefield.losses.surface import Eikonal, OffSurface
from sinefield.training.data import Samples
from sinefield.training.microbatches import Microbatches

CASES: dict[str, Callable[[], Loss]] = {  # the terms at one set of points, as loss=sdf and loss=digs have them
    "sdf": lambda: Loss({"eikonal": Eikonal(at="anywhere"), "off": OffSurface()}),
    "digs": lambda: Loss({"eikonal": Eikonal(at="anywhere"), "off": OffSurface(), "divergence": Divergence()}),
}


def own(loss: Loss, field: Siren, x: Tensor) -> Step:
    """This project's step."""
    optimizer, microbatches = torch.optim.Adam(field.parameters(), lr=1e-4, fused=True), Microbatches(field)
    ones = dict.fromkeys(loss.terms, torch.ones((), device=x.device))

    def step() -> Tensor:
        optimizer.zero_grad()
        with microbatches.thread_pool(x.device):
            terms = microbatches.gradient(loss, [Samples(x, Jet(x[:, :0]))], loss.weights(ones, 0.0))
        optimizer.step()
        return torch.stack(list(terms.values())).sum()

    return step


def nested_autograd(loss: Loss, field: Siren, x: Tensor) -> Step:
    """The whole batch at once through torch's own modules; derivatives by reverse-mode autograd of autograd."""
    net = sequence(field)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def step() -> Tensor:
        optimizer.zero_grad()
        jet = autograd_jet(net, x, loss.order)
        total = torch.stack(
            [term.weight(0.0) * term(jet, Jet(x[:, :0]), x).mean() for term in loss.terms.values()]
        ).sum()
        total.backward()
        optimizer.step()
        return total.detach()

    return step


def rows(
    cases: Sequence[str], points: int, width: int, depth: int, repeats: int, device: str
) -> Iterator[dict[str, Any]]:
    """One row per case: milliseconds and MiB of both, medians of repeats, and their ratios."""
    x = 2 * torch.rand(points, 3, generator=torch.Generator().manual_seed(0)).to(device) - 1
    for case in cases:
        steps: dict[str, Step] = {}
        for name, path in (("own", own), ("nested_autograd", nested_autograd)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                field = Siren(3, 1, width, depth, OMEGA0).to(device)
            steps[name] = path(CASES[case](), field, x)
        seconds = in_turns(steps, x.device, repeats)
        memory = {name: peak_memory(step, x.device) for name, step in steps.items()}
        yield {
            "case": case,
            "ms_per_step": 1e3 * seconds["own"],
            "ms_nested_autograd": 1e3 * seconds["nested_autograd"],
            "times_as_fast": seconds["nested_autograd"] / seconds["own"],
            "memory_mb": memory["own"],
            "memory_mb_nested_autograd": memory["nested_autograd"],
        }
