"""What an optimiser step costs: this project's, of a field or of a stack, and nested autograd's, as in every tutorial.

All start from equal weights of a network of sines, f: R^2 -> R^C, see the same points and take steps of Adam in turns.
"""

import ctypes
import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import trange

from sinefield.core.jet import Jet, autograd_jet
from sinefield.fields.mlp import CoordinateMLP, Siren
from sinefield.fields.stack import stack_fields
from sinefield.losses.base import Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.training.data import Samples
from sinefield.training.environment import Usage, resident
from sinefield.training.microbatches import Microbatches

CASES: dict[str, Callable[[], Loss]] = {
    "value": lambda: Loss({"value": Value()}),
    "gradient": lambda: Loss({"gradient": Gradient()}),
    "laplacian": lambda: Loss({"laplacian": Laplacian()}),
    "sobolev": lambda: Loss({"value": Value(), "gradient": Gradient(0.1), "laplacian": Laplacian(0.01)}),
}
OMEGA0 = 30.0
Step = Callable[[], Any]  # takes the step; the loss before it, ()


@dataclass(frozen=True)
class Problem:
    """One step to be taken: a case of `CASES`, C channels, points, the network (hidden layers behind the first)."""

    case: str
    channels: int = 1
    points: int = 65_536
    width: int = 256
    depth: int = 3
    device: str = "cpu"

    @property
    def loss(self) -> Loss:
        """Of the case."""
        return CASES[self.case]()

    @property
    def gflop(self) -> float:
        """10^9 floating-point operations in the matrix products of a step, in the cheapest way that is known."""
        # 3 times the forward pass, which is 1 pass for the value, 1 + min(C, 2) for the gradient, 4 for the Laplacian
        passes = (1, 1 + min(self.channels, 2), 4)[self.loss.order]
        weights = self.width * (2 + self.depth * self.width + self.channels)
        return 3 * passes * 2 * self.points * weights / 1e9

    def samples(self) -> Samples:
        """Points and targets, the same every time."""
        generator = torch.Generator().manual_seed(0)
        x = 2 * torch.rand(self.points, 2, generator=generator) - 1
        shapes = [(self.points, self.channels), (self.points, self.channels, 2), (self.points, self.channels, 1)]
        parts = [torch.randn(shape, generator=generator).to(self.device) for shape in shapes[: self.loss.order + 1]]
        return Samples(x.to(self.device), Jet(*parts))

    def field(self) -> Siren:
        """The network, with the same weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Siren(2, self.channels, self.width, self.depth, OMEGA0).to(self.device)


def default(problem: Problem, count: int | None = None) -> Step:
    """This project's; with a count, that of a stack of so many fields at the same points."""
    field: CoordinateMLP = problem.field()
    loss, samples = problem.loss, problem.samples()
    mean_squares = {name: torch.ones((), device=problem.device) for name in loss.terms}
    if count is not None:
        field = stack_fields([field] * count)
        samples = samples._replace(known=samples.known.map(lambda part: torch.cat([part] * count, dim=1)))
        mean_squares = {name: part.expand(count) for name, part in mean_squares.items()}
    optimizer, microbatches = torch.optim.Adam(field.parameters(), lr=1e-4, fused=True), Microbatches(field)

    def step() -> Tensor:
        optimizer.zero_grad()
        with microbatches.thread_pool(samples.x.device):
            terms = microbatches.gradient(loss, [samples], loss.weights(mean_squares, 0.0))
        optimizer.step()
        return torch.stack(list(terms.values())).sum()

    return step


def nested_autograd(problem: Problem, net: nn.Module | None = None) -> Step:
    """The whole batch at once through a plain network; derivatives by reverse-mode autograd of autograd."""
    net = sequence(problem.field()) if net is None else net.to(problem.device)
    loss, samples = problem.loss, problem.samples()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def step() -> Tensor:
        optimizer.zero_grad()
        jet = autograd_jet(net, samples.x, loss.order)
        residuals = [term.weight(0.0) * term(jet, samples.known, samples.x).mean() for term in loss.terms.values()]
        total = torch.stack(residuals).sum()
        total.backward()
        optimizer.step()
        return total.detach()

    return step


def siren_pytorch(problem: Problem) -> Step:
    """The package of that name: a network without derivatives, which come from nested autograd."""
    from siren_pytorch import SirenNet  # noqa: PLC0415  optional

    net = SirenNet(2, problem.width, problem.channels, problem.depth + 1, w0=OMEGA0, w0_initial=OMEGA0)
    for own, layer in zip([*net.layers, net.last_layer], [*problem.field().layers, problem.field().head], strict=True):
        own.load_state_dict(layer.state_dict())
    return nested_autograd(problem, net)


class _Sine(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.sin(OMEGA0 * z)


def sequence(field: Siren) -> nn.Sequential:
    """The same network as torch's own modules, one after the other; shares the weights."""
    return nn.Sequential(*(part for layer in field.layers for part in (layer, _Sine())), field.head)


def rows(problem: Problem, cases: Sequence[str], channels: Sequence[int], repeats: int) -> Iterator[dict[str, Any]]:
    """One row per case, number of channels and path; medians of repeats."""
    paths: list[Any] = [default, nested_autograd, *([siren_pytorch] if find_spec("siren_pytorch") else [])]
    for case, count in product(cases, channels):
        here, device = replace(problem, case=case, channels=count), torch.device(problem.device)
        steps: dict[str, Step] = {path.__name__: path(here) for path in paths}
        products, gflop = gemm(here)
        seconds = in_turns(steps | {"gemm": products}, device, repeats)
        for name, step in steps.items():
            yield {
                "case": case,
                "channels": count,
                "path": name,
                "ms_per_step": 1e3 * seconds[name],
                "gflops": here.gflop / seconds[name],
                "gemm_fraction": here.gflop / seconds[name] / (gflop / seconds["gemm"]),
                "peak_memory_mb": peak_memory(step, device),
                "times_as_fast": seconds["nested_autograd"] / seconds[name],
            }


def stack_rows(problem: Problem, cases: Sequence[str], counts: Sequence[int], repeats: int) -> Iterator[dict[str, Any]]:
    """One row per case and K of counts: a step of K fields at once, and K steps of one field; medians of repeats."""
    for case, count in product(cases, counts):
        stack, one = (default(replace(problem, case=case), number) for number in (count, None))
        steps: dict[str, Step] = {"stack": stack, "each": lambda: [one() for _ in range(count)]}  # noqa: B023
        seconds = in_turns(steps, torch.device(problem.device), repeats)
        yield {
            "case": case,
            "fields": count,
            "ms_per_step": 1e3 * seconds["stack"],
            "ms_one_after_the_other": 1e3 * seconds["each"],
            "ratio": seconds["stack"] / seconds["each"],
        }


def in_turns(steps: Mapping[str, Step], device: torch.device, repeats: int) -> dict[str, float]:
    """The median seconds of each step over so many turns, after one that does not count."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in trange(repeats + 1, leave=False):
        for name, step in steps.items():
            start = perf_counter()
            step()
            wait()
            seconds[name].append(perf_counter() - start)
    return {name: median(turns[1:]) for name, turns in seconds.items()}


def peak_memory(step: Step, device: torch.device) -> float:
    """MiB that a step takes at its peak beyond what the process holds before it."""
    gc.collect()
    with suppress(AttributeError, OSError):  # glibc: what was freed before goes back to the system, and counts again
        ctypes.CDLL(None).malloc_trim(0)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else resident()
    usage = Usage()
    step()
    return max(0.0, usage.measured(device)["peak_memory_mb"] - before / 2**20)


def gemm(problem: Problem) -> tuple[Step, float]:
    """The matrix products of a hidden layer in a step's microbatches, forward and back twice, and their GFLOP."""
    device, microbatches = torch.device(problem.device), Microbatches(problem.field())
    n, w = min(problem.points, microbatches.size(device)), problem.width
    many, weight = max(4, math.ceil(problem.points / n)), torch.randn(w, w, device=device)
    operands = [torch.randn(2, n, w, device=device) for _ in range(4)]  # too many to be in cache still, as in a step

    def products(number: int) -> None:
        h, g = operands[number % len(operands)]
        torch.mm(h, weight)
        torch.mm(g, weight)
        torch.mm(g.t(), h)

    def step() -> None:
        with microbatches.thread_pool(device):
            list((microbatches.pool.map if microbatches.pool else map)(products, range(many)))

    return step, many * 3 * 2 * n * w * w / 1e9
