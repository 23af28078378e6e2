"""The ways to take a training step that are compared: this project's, nested autograd as in every tutorial, the peers'.

All start from the same weights of one network of sines, f: R^2 -> R^C, see the same points and take a step of Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor, nn

from sinefield.core.jet import Jet, autograd_jet
from sinefield.errors import require
from sinefield.fields.mlp import CoordinateMLP, Siren
from sinefield.fields.stack import stack_fields
from sinefield.losses.base import Loss
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.training.data import Samples
from sinefield.training.microbatches import Microbatches

CASES: dict[str, Callable[[], Loss]] = {
    "value": lambda: Loss({"value": Value()}),
    "gradient": lambda: Loss({"gradient": Gradient()}),
    "laplacian": lambda: Loss({"laplacian": Laplacian()}),
    "sobolev": lambda: Loss({"value": Value(), "gradient": Gradient(0.1), "laplacian": Laplacian(0.01)}),
}
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}
OMEGA0 = 30.0


@dataclass(frozen=True)
class Problem:
    """One step to be taken.

    Attributes:
        case: what is compared: value, gradient, laplacian, or all three in the Sobolev loss.
        precision: fp32, or bf16 for the matrix products.
        channels: C.
        points: per step.
        width, depth: of the network; depth counts hidden layers behind the first.
        device: cpu or cuda.
    """

    case: str
    precision: str = "fp32"
    channels: int = 1
    points: int = 65_536
    width: int = 256
    depth: int = 3
    device: str = "cpu"

    @property
    def order(self) -> int:
        """Of the jets."""
        return CASES[self.case]().order

    @property
    def gflop(self) -> float:
        """10^9 floating-point operations in the matrix products of a step, in the cheapest way that is known:

        3 times the forward pass, which is 1 pass for the value, 1 + min(C, 2) for the gradient, 4 for the Laplacian.
        """
        passes = (1, 1 + min(self.channels, 2), 4)[self.order]
        weights = self.width * (2 + self.depth * self.width + self.channels)
        return 3 * passes * 2 * self.points * weights / 1e9

    def samples(self) -> Samples:
        """Points and targets, the same every time."""
        generator = torch.Generator().manual_seed(0)
        x = 2 * torch.rand(self.points, 2, generator=generator) - 1
        shapes = [(self.points, self.channels), (self.points, self.channels, 2), (self.points, self.channels, 1)]
        parts = [torch.randn(shape, generator=generator).to(self.device) for shape in shapes[: self.order + 1]]
        return Samples(x.to(self.device), Jet(*parts))

    def field(self) -> Siren:
        """The network, with the same weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Siren(2, self.channels, self.width, self.depth, OMEGA0).to(self.device)


Step = Callable[[], Tensor]  # takes the step; the loss before it, ()


def default(problem: Problem, count: int | None = None) -> Step:
    """This project's: forward jets or reverse gradients, in microbatches, a thread each, with written-out derivatives.

    With a count, that of a stack of so many fields at the same points.
    """
    field: CoordinateMLP = problem.field()
    loss, samples, dtype = CASES[problem.case](), problem.samples(), PRECISIONS[problem.precision]
    mean_squares = {name: torch.ones((), device=problem.device) for name in loss.terms}
    if count is not None:
        field = stack_fields([field] * count)
        samples = samples._replace(known=samples.known.map(lambda part: torch.cat([part] * count, dim=1)))
        mean_squares = {name: part.expand(count) for name, part in mean_squares.items()}
    optimizer, microbatches = torch.optim.Adam(field.parameters(), lr=1e-4, fused=True), Microbatches(field)

    def step() -> Tensor:
        optimizer.zero_grad()
        autocast = torch.autocast(problem.device, dtype, enabled=dtype is not None)
        with microbatches.thread_pool(samples.x.device), autocast:
            terms = microbatches.gradient(loss, [samples], mean_squares)
        optimizer.step()
        return torch.stack(list(terms.values())).sum()

    return step


def nested_autograd(problem: Problem) -> Step:
    """A plain sequence of layers, the whole batch at once, derivatives by reverse-mode autograd of autograd."""
    sines = sequence(problem.field())
    return _recorded(problem, sines, lambda x: autograd_jet(sines, x, problem.order))


def siren_pytorch(problem: Problem) -> Step:
    """The package of that name: a network without derivatives, which come from nested autograd."""
    from siren_pytorch import SirenNet  # noqa: PLC0415  optional

    net = SirenNet(2, problem.width, problem.channels, problem.depth + 1, w0=OMEGA0, w0_initial=OMEGA0)
    for own, layer in zip([*net.layers, net.last_layer], [*problem.field().layers, problem.field().head], strict=True):
        own.load_state_dict(layer.state_dict())
    net.to(problem.device)
    return _recorded(problem, net, lambda x: autograd_jet(net, x, problem.order))


def jet_for_pytorch(problem: Problem) -> Step:
    """Collapsed Taylor mode of the package of that name; of the four cases it knows the Laplacian alone."""
    require(problem.case == "laplacian", "jet-for-pytorch computes the Laplacian alone")
    from jet import laplacian  # noqa: PLC0415  optional

    sines = sequence(problem.field())
    every = torch.vmap(laplacian(sines, (torch.zeros(2, device=problem.device),)))
    return _recorded(problem, sines, lambda x: Jet(x[:, :0], x[:, :0], every(x).unsqueeze(-1)))


PATHS = {path.__name__: path for path in (default, nested_autograd, siren_pytorch, jet_for_pytorch)}


def available(path: str, problem: Problem) -> bool:
    """Whether a path can take this step here; only this project's is asked to do it in bf16."""
    if path != "default" and problem.precision != "fp32":
        return False
    try:
        PATHS[path](replace(problem, points=2, width=4))()
    except (ImportError, ValueError):
        return False
    return True


def sequence(field: Siren) -> nn.Sequential:
    """The same network as torch's own modules, one after the other; shares the weights."""
    return nn.Sequential(*(part for layer in field.layers for part in (layer, _Sine())), field.head)


def _recorded(problem: Problem, net: nn.Module, jet: Callable[[Tensor], Jet]) -> Step:
    """The step of a network whose jet autograd has recorded."""
    samples, loss = problem.samples(), CASES[problem.case]()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def step() -> Tensor:
        optimizer.zero_grad()
        found = jet(samples.x)
        residuals = [term.weight * term(found, samples.known, samples.x).mean() for term in loss.terms.values()]
        total = torch.stack(residuals).sum()
        total.backward()
        optimizer.step()
        return total.detach()

    return step


class _Sine(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.sin(OMEGA0 * z)


def gemm_rate(problem: Problem) -> float:
    """GFLOP/s of the matrix products of a hidden layer at the shapes of a step's microbatches, all threads at work.

    Forward (n, w)(w, w), back (n, w)(w, w) and for the weights (w, n)(n, w), on operands that are read for the first
    time in a while, as in a step.
    """
    field, dtype = problem.field(), PRECISIONS[problem.precision] or torch.float32
    microbatches = Microbatches(field)
    device = torch.device(problem.device)
    with torch.autocast(problem.device, dtype, enabled=dtype != torch.float32):
        n, w = min(problem.points, microbatches.size(device)), problem.width
    many = max(4, math.ceil(problem.points / n))
    weight = torch.randn(w, w, device=device, dtype=dtype)
    operands = [torch.randn(2, n, w, device=device, dtype=dtype) for _ in range(4)]

    def products(number: int) -> None:
        h, g = operands[number % len(operands)]
        torch.mm(h, weight)
        torch.mm(g, weight)
        torch.mm(g.t(), h)

    with microbatches.thread_pool(device):
        seconds = clock(
            lambda: list((microbatches.pool.map if microbatches.pool else map)(products, range(many))), device
        )
    return many * 3 * 2 * n * w * w / seconds / 1e9


def clock(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, all of it done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - start
