"""Every way that torch has of looking at a module sees the plain rules, or is told in one line why not."""

import copy
import io
import pickle
from functools import partial

import pytest
import torch
from discover import build as build_node
from discover import described, distance
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from torch.nn.utils import parametrizations, prune
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sinefield.activations.base import Activation
from sinefield.activations.sine import Sine
from sinefield.activations.tanh import Tanh
from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP, Siren
from sinefield.fields.stack import stack_fields

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, of what it still offers
]
TOLERANCE = 1e-12


def layers_alone(field: CoordinateMLP, x: Tensor) -> Tensor:
    """f(x) by torch's own layers, one after the other: what a field is, without any of this package's rules."""
    h = x
    for layer in field.layers:
        z = h @ layer.weight.mT + layer.bias
        h = torch.sin(30.0 * z) if isinstance(field.activation, Sine) else torch.tanh(z)
    return h @ field.head.weight.mT + field.head.bias


FIELDS = {
    "siren": lambda: Siren(2, 3, 16, 2),
    "grey": lambda: Siren(2, 1, 16, 1),  # whose gradient is taken in reverse
    "tanh": lambda: CoordinateMLP(2, 3, 16, 1, activation=Tanh()),
}


@pytest.fixture(params=FIELDS)
def field(request) -> CoordinateMLP:
    return FIELDS[request.param]()


@pytest.fixture
def x() -> Tensor:
    return 2 * torch.rand(9, 2) - 1


def close(found: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    assert distance(found.detach(), expected.detach()) <= tolerance


class TestTransforms:
    """torch.func: on one point at a time, under vmap, and on parameters."""

    @pytest.mark.parametrize("transform", [jacrev, jacfwd])
    def test_jacobian(self, field, x, transform):
        close(vmap(transform(field))(x), autograd_jet(partial(layers_alone, field), x, 1).gradient)

    @pytest.mark.parametrize("outer", [jacrev, jacfwd])
    @pytest.mark.parametrize("inner", [jacrev, jacfwd])
    def test_second_derivatives(self, field, x, outer, inner):
        expected = autograd_jet(partial(layers_alone, field), x, 2, torch.eye(2)).second
        close(vmap(outer(inner(field)))(x).diagonal(dim1=-2, dim2=-1), expected)

    def test_hessian_of_one_point(self, field, x):
        close(hessian(field)(x[0]), hessian(partial(layers_alone, field))(x[0]))

    def test_jvp_and_vjp(self, field, x):
        v, w = torch.randn_like(x), torch.randn(9, field.head.out_features)
        for found, expected in zip(jvp(field, (x,), (v,)), jvp(partial(layers_alone, field), (x,), (v,)), strict=True):
            close(found, expected)
        (_, back), (_, plain) = vjp(field, x), vjp(partial(layers_alone, field), x)
        close(back(w)[0], plain(w)[0])

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_gradient_by_parameters(self, field, x, order):
        """Of every part of a jet; what a hypernetwork or an inner loop does."""
        parameters = dict(field.named_parameters())

        def plain(parameters: dict[str, Tensor]) -> Tensor:
            other = copy.deepcopy(field)
            return (
                autograd_jet(lambda x: functional_call(other, parameters, (x,)), x, order).parts[order].square().sum()
            )

        found = grad(lambda p: field.jet(x, order, parameters=p).parts[order].square().sum())(parameters)
        leaves = {name: part.detach().clone().requires_grad_() for name, part in parameters.items()}
        expected = torch.autograd.grad(plain(leaves), list(leaves.values()), materialize_grads=True)
        for name, other in zip(leaves, expected, strict=True):
            close(found[name], other, 1e-9)

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_ensemble(self, x, order):
        """stack_module_state and vmap give what each of the fields gives alone, and what a stack gives."""
        fields = [Siren(2, 1, 16, 1) for _ in range(3)]
        parameters, _ = stack_module_state(fields)
        found = vmap(lambda p: fields[0].jet(x, order, parameters=p).parts)(parameters)
        for k, one in enumerate(fields):
            for part, other in zip(found, one.jet(x, order).parts, strict=True):
                close(part[k], other)
        for part, other in zip(found, stack_fields(fields).jet(x, order).parts, strict=True):
            close(part, other)

    def test_points_of_each_own(self, x):
        """vmap over points and parameters together."""
        fields = [Siren(2, 3, 16, 1) for _ in range(3)]
        parameters, _ = stack_module_state(fields)
        points = torch.rand(3, 9, 2)
        found = vmap(lambda p, x: functional_call(fields[0], p, (x,)))(parameters, points)
        for k, one in enumerate(fields):
            close(found[k], layers_alone(one, points[k]))

    def test_forward_mode(self, field, x):
        v = torch.randn_like(x)
        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(field(forward_ad.make_dual(x, v))).tangent
        close(found, jvp(partial(layers_alone, field), (x,), (v,))[1])

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_forward_mode_of_jets_by_a_weight(self, field, x, order):
        """The directional derivative of a jet as the parameters move, against a difference quotient."""
        weight, step = field.head.weight, torch.randn_like(field.head.weight)
        with forward_ad.dual_level():
            parameters = {"head.weight": forward_ad.make_dual(weight.detach(), step)}
            jet = field.jet(x, order, parameters=parameters)
            found = forward_ad.unpack_dual(jet.parts[order]).tangent
        there, here = (field.jet(x, order, parameters={"head.weight": weight + k * step}) for k in (1, 0))
        close(found, there.parts[order] - here.parts[order], 1e-9)  # the head is linear


class TestParameters:
    def test_given_parameters_take_the_place_of_the_own(self, field, x):
        """All of them, or some; the field's own stay as they are."""
        other = {name: torch.randn_like(part) for name, part in field.named_parameters()}
        before = copy.deepcopy(field.state_dict())
        twin = copy.deepcopy(field)
        twin.load_state_dict(other)
        for order in (0, 1, 2):
            for part, expected in zip(
                field.jet(x, order, parameters=other).parts, twin.jet(x, order).parts, strict=True
            ):
                close(part, expected)
        assert all(torch.equal(part, before[name]) for name, part in field.state_dict().items())
        shift = {"layers.0.bias": field.layers[0].bias + 1}
        assert not torch.equal(field.jet(x, 0, parameters=shift).value, field.jet(x, 0).value)

    def test_an_unknown_name_is_refused(self, field, x):
        with pytest.raises(UserError, match=r"the field has no head\.wieght; give parameters by their names"):
            field.jet(x, 0, parameters={"head.wieght": field.head.weight})


class TestTracers:
    @pytest.mark.parametrize("recording", [False, True])
    def test_jit_trace(self, field, x, recording):
        with torch.set_grad_enabled(recording):
            traced = torch.jit.trace(field, x)
            other = 2 * torch.rand(30, 2) - 1
            close(traced(other), layers_alone(field, other))

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_jit_trace_of_a_jet(self, field, x, order):
        traced, other = torch.jit.trace(_Derivatives(field, order), x), 2 * torch.rand(30, 2) - 1
        for part, expected in zip(traced(other), field.jet(other, order).parts, strict=True):
            close(part, expected)

    @pytest.mark.parametrize("strict", [False, True])
    def test_export(self, field, x, strict):
        """One graph for any number of points."""
        points = torch.export.Dim("points", min=2)
        program = torch.export.export(field, (x,), dynamic_shapes=({0: points},), strict=strict)
        other = 2 * torch.rand(30, 2) - 1
        close(program.module()(other), layers_alone(field, other))

    @pytest.mark.parametrize("order", [1, 2])
    def test_export_of_a_jet(self, field, x, order):
        program = torch.export.export(_Derivatives(field, order), (x,))
        for part, other in zip(program.module()(x), field.jet(x, order).parts, strict=True):
            close(part, other)

    @pytest.mark.parametrize(
        ("field", "order", "backend"),
        [
            *(("siren", order, "aot_eager") for order in (0, 1, 2)),
            ("siren", 2, "eager"),  # what is traced, as it is
            ("grey", 1, "aot_eager"),
            ("tanh", 2, "aot_eager"),
        ],
        indirect=["field"],
    )
    def test_compile(self, field, x, order, backend):
        """In one graph, with the same parts and the same derivatives by the weights."""
        torch._dynamo.reset()
        compiled = torch.compile(_Derivatives(field, order), backend=backend, fullgraph=True)
        weights = list(field.parameters())
        results = []
        for parts in (compiled(x), field.jet(x, order).parts):
            found = torch.autograd.grad(sum(p.square().sum() for p in parts), weights, materialize_grads=True)
            results.append([*parts, *found])
        for part, other in zip(*results, strict=True):
            close(part, other, 1e-11)

    def test_symbolic_trace(self, field, x):
        close(torch.fx.symbolic_trace(field)(x), layers_alone(field, x))

    def test_make_fx(self, field, x):
        from torch.fx.experimental.proxy_tensor import make_fx

        for order in (0, 1, 2):
            graph = make_fx(_Derivatives(field, order))(x)
            close(graph(x)[order], field.jet(x, order).parts[order])

    @pytest.mark.filterwarnings("ignore")  # the exporters' own
    @pytest.mark.parametrize(
        ("field", "dynamo"), [("siren", False), ("tanh", False), ("grey", True)], indirect=["field"]
    )
    def test_onnx(self, field, x, dynamo, tmp_path):
        """The graph computes the field in another program."""
        runtime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        field, x = field.float(), x.float()
        torch.onnx.export(field, (x,), str(tmp_path / "field.onnx"), dynamo=dynamo, verbose=False)
        session = runtime.InferenceSession(tmp_path / "field.onnx", providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        close(torch.from_numpy(found), layers_alone(field, x), 1e-4)


class _Derivatives(nn.Module):
    """A field that answers with the parts of its jet."""

    def __init__(self, field: CoordinateMLP, order: int) -> None:
        super().__init__()
        self.field, self.order = field, order

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.field.jet(x, self.order).parts


class TestHooks:
    """A hook on a layer is called, and what it changes is changed in the jet too."""

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_forward_hook(self, field, x, order):
        seen = []
        with field.layers[0].register_forward_hook(lambda module, args, out: seen.append(out) or 2 * out):
            found = field.jet(x, order)
        assert len(seen) == 1
        twin = copy.deepcopy(field)
        with torch.no_grad():
            twin.layers[0].weight *= 2
            twin.layers[0].bias *= 2
        for part, other in zip(found.parts, twin.jet(x, order).parts, strict=True):
            close(part, other, 1e-10)

    @pytest.mark.parametrize("place", ["activation", "head", "encoding"])
    def test_every_module_may_have_one(self, field, x, place):
        seen = []
        with getattr(field, place).register_forward_hook(lambda *hooked: seen.append(1)):
            close(field(x), layers_alone(field, x))
        assert seen

    def test_of_a_stack_is_refused(self, x):
        """A stack multiplies the weights of all its fields at once and calls none of its layers."""
        stack = stack_fields([Siren(2, 3, 16, 1) for _ in range(3)])
        with (
            stack.layers[0].register_forward_hook(lambda *hooked: None),
            pytest.raises(UserError, match="take it out of the stack first"),
        ):
            stack(x)

    def test_pre_hook_and_backward_hook(self, field, x):
        seen = []
        with (
            field.layers[-1].register_forward_pre_hook(lambda module, args: seen.append("before")),
            field.layers[-1].register_full_backward_hook(lambda *parts: seen.append("back")),
        ):
            field(x).sum().backward()
        assert seen == ["before", "back"]

    def test_global_hook(self, field, x):
        seen = []
        with nn.modules.module.register_module_forward_hook(lambda module, args, out: seen.append(type(module))):
            field(x)
        assert seen.count(nn.Linear) == len(field.layers) + 1


class TestReplacedLayers:
    def test_weight_norm_pruning_and_spectral_norm(self, field, x):
        """What computes a weight anew is followed, and trained."""
        parametrizations.weight_norm(field.layers[0])
        parametrizations.spectral_norm(field.layers[-1]).eval()
        prune.l1_unstructured(field.head, "weight", 0.5)
        for order in (0, 1, 2):
            jet = field.jet(x, order)
            expected = autograd_jet(partial(layers_alone, field), x, order)
            for part, other in zip(jet.parts, expected.parts, strict=True):
                close(part, other, 1e-10)
            found = torch.autograd.grad(jet.parts[order].square().sum(), field.head.weight_orig, retain_graph=True)
            wanted = torch.autograd.grad(expected.parts[order].square().sum(), field.head.weight_orig)
            close(*found, *wanted, 1e-9)

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_a_layer_of_ones_own(self, field, x, order):
        """Such as a low-rank addition to a trained layer."""

        class Added(nn.Linear):
            def forward(self, h: Tensor) -> Tensor:
                return super().forward(h) + 0.1 * h.sum(-1, keepdim=True)

        layer = Added(16, 16)
        field.layers[-1] = layer
        twin = copy.deepcopy(field)
        twin.layers[-1] = nn.Linear(16, 16)
        with torch.no_grad():
            twin.layers[-1].weight.copy_(layer.weight + 0.1)
            twin.layers[-1].bias.copy_(layer.bias)
        for part, other in zip(field.jet(x, order).parts, twin.jet(x, order).parts, strict=True):
            close(part, other, 1e-10)

    @pytest.mark.filterwarnings("ignore")  # torch announces another way to quantise
    def test_dynamic_quantisation(self, field, x):
        """Values with eight bits of weight; derivatives are refused, and not zero."""
        field, x = field.float(), x.float()
        small = torch.ao.quantization.quantize_dynamic(field, {nn.Linear}, dtype=torch.qint8)
        expected = x
        for layer in small.layers:
            z = layer(expected)
            expected = torch.sin(30.0 * z) if isinstance(field.activation, Sine) else torch.tanh(z)
        close(small(x), small.head(expected), 1e-5)
        with pytest.raises(UserError, match="has no derivatives; ask for order 0"):
            small.jet(x, 1)

    def test_an_activation_with_parameters_is_trained(self, x):
        field = CoordinateMLP(2, 1, 16, 1, activation=_Learned())
        for order in (0, 1, 2):
            found = torch.autograd.grad(field.jet(x, order).parts[order].square().sum(), field.activation.rate)
            expected = autograd_jet(field, x, order).parts[order].square().sum()
            close(*found, *torch.autograd.grad(expected, field.activation.rate), 1e-9)


class _Learned(Activation):
    """sin(a z) with a rate a that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(3.0))

    def forward(self, z: Tensor, order: int = 0, first: bool = False) -> tuple[Tensor, ...]:
        a = self.rate
        return ((a * z).sin(), a * (a * z).cos(), -a * a * (a * z).sin())[: order + 1]


class TestModes:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_autocast(self, dtype, order):
        """Results in the parameters' precision, off by the rounding of products alone; and they can be trained."""
        field, x = Siren(2, 3, 32, 1).float(), torch.rand(9, 2, dtype=torch.float32)
        expected = field.jet(x, order)
        with torch.autocast("cpu", dtype):
            found = field.jet(x, order)
            sum(part.mean() for part in found.parts).backward()
        for part, other in zip(found.parts, expected.parts, strict=True):
            assert part.dtype == torch.float32
            close(part, other, 0.2)
        assert field.layers[0].weight.grad.isfinite().all()

    @pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_anomaly_mode(self, field, x, order):
        with torch.autograd.detect_anomaly():
            field.jet(x, order).parts[order].square().sum().backward()
        assert field.head.weight.grad.isfinite().all()

    @pytest.mark.parametrize("mode", [TorchFunctionMode, TorchDispatchMode])
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_modes_see_the_products(self, field, x, order, mode):
        """Whoever takes operations over sees them all, and may change them."""

        class Doubling(mode):
            seen = 0

            def __torch_function__(self, function, types, args=(), kwargs=None):
                type(self).seen += "linear" in str(function)
                return function(*args, **kwargs or {})

            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                type(self).seen += "mm" in str(function)
                return function(*args, **kwargs or {})

        with Doubling():
            found = field.jet(x, order)
        assert Doubling.seen >= len(field.layers)
        for part, other in zip(found.parts, field.jet(x, order).parts, strict=True):
            close(part, other)

    def test_flop_counter(self, field, x):
        with FlopCounterMode(display=False) as counter:
            field(x)
        weights = sum(layer.weight.numel() for layer in [*field.layers, field.head])
        assert counter.get_total_flops() == 2 * len(x) * weights

    def test_subclass_of_tensor(self, field, x):
        class Named(Tensor):
            pass

        found = field(x.as_subclass(Named))
        assert type(found) is Named
        close(found.as_subclass(Tensor), layers_alone(field, x))

    def test_default_device_and_meta_device(self, field, x):
        with torch.device("cpu"):
            close(field(x), layers_alone(field, x))
        assert field.to("meta").jet(x.to("meta"), 2).second.shape == (9, field.head.out_features, 1)

    def test_checkpointing_and_saved_tensor_hooks(self, field, x):
        from torch.utils.checkpoint import checkpoint

        expected = torch.autograd.grad(field.jet(x, 2).second.square().sum(), field.head.weight)
        for recompute in (True, False):
            with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True), torch.from_numpy):
                second = (
                    checkpoint(lambda x: field.jet(x, 2).second, x, use_reentrant=False)
                    if recompute
                    else field.jet(x, 2).second
                )
            close(*torch.autograd.grad(second.square().sum(), field.head.weight), *expected)


class TestCopies:
    @pytest.mark.parametrize("way", ["pickle", "deepcopy", "save"])
    def test_round_trip(self, field, x, way):
        if way == "save":
            file = io.BytesIO()
            torch.save(field, file)
            file.seek(0)
            other = torch.load(file, weights_only=False)
        else:
            other = copy.deepcopy(field) if way == "deepcopy" else pickle.loads(pickle.dumps(field))
        for part, expected in zip(other.jet(x, 2).parts, field.jet(x, 2).parts, strict=True):
            assert torch.equal(part, expected)

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.3), (torch.bfloat16, 2), (torch.float32, 1e-3)])
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_other_precisions(self, dtype, tolerance, order):
        """half(), bfloat16() and float() compute in that precision throughout."""
        field, x = Siren(2, 1, 16, 1, omega0=5.0), 2 * torch.rand(9, 2) - 1
        expected = field.jet(x, order)
        found = field.to(dtype).jet(x.to(dtype), order)
        for part, other in zip(found.parts, expected.parts, strict=True):
            assert part.dtype == dtype
            close(part.double(), other, tolerance)

    @pytest.mark.parametrize("encoding", described("encoding"))
    def test_encodings_too(self, encoding, x):
        """What stands in front of the layers is seen by a tracer, a transform and an exporter as well."""
        features = build_node(described("encoding")[encoding], dims=2, channels=3, samples=16)
        field = CoordinateMLP(2, 3, 16, 1, activation=Sine(), encoding=features)
        expected = field.jet(x, 1)
        close(vmap(jacrev(field))(x), expected.gradient, 1e-10)
        close(torch.jit.trace(field, x)(x), expected.value)
        close(torch.export.export(field, (x,)).module()(x), expected.value)


def test_a_loaded_field_is_a_citizen_too(fit):
    """What `sinefield.load` gives back, the same as a new one."""
    from conftest import SMALL

    import sinefield

    torch.set_default_dtype(torch.float32)
    loaded = sinefield.load(fit(*SMALL, "logger=none")["folder"])
    x = 2 * torch.rand(9, 2, dtype=torch.float32) - 1
    expected = loaded.jet(x, 2)
    close(vmap(jacrev(loaded))(x), expected.gradient, 1e-4)
    close(torch.export.export(loaded, (x,)).module()(x), expected.value, 1e-5)
    close(torch.jit.trace(loaded, x)(x), expected.value, 1e-5)
    close(copy.deepcopy(loaded).double()(x.double()), expected.value.double(), 1e-4)
    assert loaded.half()(x.half()).isfinite().all()
