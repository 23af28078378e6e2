"""Clipped and accumulated gradients: torch's own numbers for one network, and the same for each of a stack."""

from __future__ import annotations

from contextlib import nullcontext
from typing import ClassVar

import pytest
import pytorch_lightning as pl
import torch
from conftest import SMALL
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from sinefield.errors import UserError
from sinefield.losses.base import Loss
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.weak import Circles
from sinefield.signals.analytic import Analytic
from sinefield.training.clipping import CLIPS
from sinefield.training.data import SignalData

TORCHS = {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}
SGD = ["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "optimizer.fused=false", "scheduler=constant"]
SGD += ["optimizer.lr=1", "trainer.max_steps=1", "data.eval_every=1"]


class Recorder(pl.Callback):
    """Keeps the parameters before and after the fit."""

    kept: ClassVar[list[list[torch.Tensor]]] = []

    def on_train_start(self, trainer, pl_module) -> None:
        self.kept[:] = [[p.detach().clone() for p in pl_module.field.parameters()]]

    def on_train_end(self, trainer, pl_module) -> None:
        self.kept.append([p.detach().clone() for p in pl_module.field.parameters()])


def moved(stacked: bool) -> torch.Tensor:
    """(K, P) how far each parameter of each network went."""
    before, after = Recorder.kept
    return torch.cat([(b - a).double().flatten(int(stacked)) for a, b in zip(before, after, strict=True)], dim=-1)


@pytest.fixture
def threads(request):
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("algorithm", CLIPS)
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.usefixtures("float64")
def test_each_network_of_a_stack_is_clipped_as_torch_clips_one(algorithm, size) -> None:
    shapes = [(7, 2), (7,), (3, 7), ()]
    stack = [size * torch.randn(4, *shape) for shape in shapes]
    stack[0][2] = 0  # of one network, zeros in part
    wanted = []
    for k in range(4):
        parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
        for parameter, gradient in zip(parameters, stack, strict=True):
            parameter.grad = gradient[k].clone()
        alone = [parameter.grad.clone() for parameter in parameters]
        TORCHS[algorithm](parameters, 0.7)
        wanted.append([parameter.grad for parameter in parameters])
        CLIPS[algorithm](alone, 0.7)
        for found, expected in zip(alone, wanted[-1], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)  # torch adds 1e-6 to the norm
    CLIPS[algorithm](stack, 0.7, stack=(4,))
    for gradient, *expected in zip(stack, *wanted, strict=True):
        torch.testing.assert_close(gradient, torch.stack(expected), rtol=1e-4, atol=0)


def test_gradients_of_zero_stay_zero() -> None:
    gradients = [torch.zeros(2, 3), torch.zeros(2)]
    CLIPS["norm"](gradients, 1.0, stack=(2,))
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("threads", "precision"), [(1, "32-true"), (1, "64-true"), (1, "bf16-mixed"), (2, "32-true")], indirect=["threads"]
)
@pytest.mark.parametrize("signal", ["image", "images"])
@pytest.mark.usefixtures("threads")
def test_a_step_is_as_long_as_the_limit(signal, precision, fit) -> None:
    """Steps of SGD at a rate of 1 are the gradients: their length is the limit, whatever scaled the loss."""
    knobs = [*SMALL, *SGD, f"signal={signal}", f"trainer.precision={precision}", "data.batch_size=100"]
    knobs += ["+callback._target_=test_clipping.Recorder", "activation.omega0=10"]
    for algorithm, limit in (("norm", 1e-3), ("value", 1e-5)):
        fit(
            *knobs,
            f"trainer.gradient_clip_val={limit}",
            f"+trainer.gradient_clip_algorithm={algorithm}",
            folder=algorithm,
        )
        found = moved(signal == "images")
        length = found.norm(dim=-1) if algorithm == "norm" else found.abs().amax(dim=-1)
        assert length.shape == ((3,) if signal == "images" else ())
        assert length.flatten().tolist() == pytest.approx([limit] * length.numel(), rel=0.05)  # float32 weights


class ScaledLoss(MixedPrecision):
    """Precision 16-mixed but for its autocast: a CPU has no float16 worth the name."""

    def __init__(self) -> None:
        super().__init__("16-mixed", "cpu")

    def forward_context(self):
        return nullcontext()


class Scaled(pl.Callback):
    """Puts that plugin in its place: Lightning itself takes bfloat16 on a CPU."""

    def on_fit_start(self, trainer, pl_module) -> None:
        trainer.strategy._precision_plugin = ScaledLoss()


@pytest.mark.parametrize("fused", ["true", "false"])  # a fused optimizer undoes the scaling by itself
def test_gradients_are_clipped_as_large_as_they_are(fused, fit) -> None:
    """Adam's first step forgets how long a gradient is, and its second moment does not."""
    knobs = [*SMALL, "trainer.max_steps=1", "data.eval_every=1", f"optimizer.fused={fused}"]
    knobs += ["+callback._target_=test_clipping.Scaled"]
    for limit, length in ((1e-3, 1e-3), (1e9, None)):
        folder = fit(*knobs, f"trainer.gradient_clip_val={limit}", folder=str(limit))["folder"]
        state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
        squares = torch.stack([its["exp_avg_sq"].double().sum() for its in state.values()]).sum() / (1 - 0.99)
        if length is None:
            assert 1e-2 < squares.sqrt().item() < 1e3  # the loss was scaled by 65536
        else:
            assert squares.sqrt().item() == pytest.approx(length, rel=1e-2)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("signal", ["image", "images"])
def test_batches_that_make_up_a_pass_give_the_step_of_all_samples(signal, optimizer, fit) -> None:
    if (signal, optimizer) == ("images", "lbfgs"):
        return  # refused
    knobs = [*SMALL, f"signal={signal}", f"optimizer={optimizer}", "trainer.max_steps=3", "trainer.precision=64-true"]
    knobs += ["loss.terms.between=null"]  # whose points are others in each batch
    whole = fit(*knobs, "data.batch_size=null", folder="whole")
    parts = fit(*knobs, "data.batch_size=64", "+trainer.accumulate_grad_batches=4", folder="parts")
    assert parts["steps"] == whole["steps"] == 3
    for name in ("loss", "psnr", "psnr_off_grid"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-7), name


def test_the_points_of_a_step_are_those_of_as_many_steps_with_one_batch() -> None:
    loss = Loss({"laplacian": Laplacian(), "weak": Circles(count=5)})
    one = SignalData(Analytic(size=12), loss, 24, seed=3)
    three = SignalData(Analytic(size=12), loss, 24, seed=3, accumulate=3)
    found, wanted = three.batch(4), [samples for step in (12, 13, 14) for samples in one.batch(step)]
    assert len(found) == len(wanted) == 6
    for mine, its in zip(found, wanted, strict=True):
        assert torch.equal(mine.x, its.x)
        assert mine.share == its.share / 3


@pytest.mark.parametrize(
    "knobs",
    [
        ["trainer.gradient_clip_val=0"],
        ["trainer.gradient_clip_val=-1"],
        ["trainer.gradient_clip_val=true"],
        ["trainer.gradient_clip_val=big"],
        ["trainer.gradient_clip_val=[1]"],
        ["trainer.gradient_clip_algorithm=norm"],
        ["trainer.gradient_clip_val=1", "trainer.gradient_clip_algorithm=max"],
        ["trainer.accumulate_grad_batches=0"],
        ["trainer.accumulate_grad_batches=1.5"],
        ["trainer.accumulate_grad_batches={0: 2}"],
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_the_knobs_name(knobs, fit, tmp_path) -> None:
    with pytest.raises(UserError, match=knobs[-1].partition("=")[0]):
        fit(*SMALL, *knobs)
    assert not (tmp_path / "run").exists()
