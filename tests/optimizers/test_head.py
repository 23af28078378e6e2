"""The head against torch.linalg.lstsq on the explicit matrix, real and complex; in runs."""

from __future__ import annotations

import copy
import logging
import math

import pytest
import torch
from conftest import SMALL
from discover import distance
from torch import Tensor

from sinefield.activations.sine import Sine
from sinefield.core.jet import Jet
from sinefield.encodings.radial import Radial
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP, Siren
from sinefield.losses.base import Equation, Loss
from sinefield.losses.constraints import Border, Mean
from sinefield.losses.gradient import Gradient
from sinefield.losses.laplacian import Laplacian
from sinefield.losses.value import Value
from sinefield.losses.weak import Differences
from sinefield.optimizers import linear
from sinefield.optimizers.head import Head
from sinefield.signals.analytic import Analytic
from sinefield.training.data import SignalData

pytestmark = pytest.mark.usefixtures("float64")

WAVES = [[0.3, [9.0, 4.0], 0.0], [0.2, [-5.0, 14.0], 1.0]]
GAUSSIANS = [[0.5, [0.2, -0.3], 0.3]]


class Rotated(Equation):
    """A complex equation, i u_x + (2 - i) u_yy - k² u = x, of real and imaginary part."""

    order, affine = 2, True
    operators = torch.tensor([[0.0, 1.0]])

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        value, along, second = (
            torch.view_as_complex(p.contiguous()) for p in (field.value, field.gradient[..., 0], field.second[..., 0])
        )
        return torch.view_as_real(1j * along + (2 - 1j) * second + 9 * value - x[:, 0])


class Coupled(Equation):
    """Channels that hang together by a map that is not complex: f_0 + 2 f_1 = x, f_0 = 3 d/dx f_1."""

    order, affine = 1, True

    def residual(self, field: Jet, known: Jet, x: Tensor) -> Tensor:
        first, second = field.value.unbind(-1)
        return torch.stack([first + 2 * second - x[:, 0], first - 3 * field.gradient[..., 1, 0]], dim=-1)


class Spread(Value):
    """Not affine."""

    affine = False


def setting(terms, channels=1, size=9, width=12) -> tuple[Siren, Loss, list, dict]:
    """A field, a loss, all samples of a signal with what is known there, and a weight of each term."""
    signal = Analytic(size, WAVES, GAUSSIANS, 3 if channels == 3 else 1)
    loss = Loss(terms)
    data = SignalData(signal, loss, batch_size=None, max_steps=1)
    return (
        Siren(2, channels, width, 1),
        loss,
        data.batch(0),
        loss.weights({name: term.mean_square(signal) for name, term in terms.items()}, 0.0),
    )


def total(field, loss, batch, weights) -> Tensor:
    """The loss, by the terms' own definition."""
    found = []
    for group, samples in zip(loss.groups, batch, strict=True):
        jet = field.jet(samples.x, group.order, group.operators)
        found += [weights[n] * t(jet, samples.known, samples.x).mean() for n, t in group.terms.items()]
    return torch.stack(found).sum()


def explicit(field, loss, batch, weights) -> Tensor:
    """(C, F + 1), the best head by lstsq: the rows are residuals, their columns the residuals' derivatives."""
    head = torch.cat([field.head.weight, field.head.bias[:, None]], dim=1).detach()

    def rows(head: Tensor) -> Tensor:
        own = copy.deepcopy(field)
        given = {"head.weight": head[:, :-1], "head.bias": head[:, -1]}
        found = []
        for group, samples in zip(loss.groups, batch, strict=True):
            jet = own.jet(samples.x, group.order, group.operators, parameters=given)
            for name, term in group.terms.items():
                residual = term.residual(jet, samples.known, samples.x)
                found.append((weights[name] / len(residual)).sqrt() * residual.flatten())
        return torch.cat(found)

    matrix = torch.autograd.functional.jacobian(rows, head).flatten(1)
    right = -rows(torch.zeros_like(head))
    return torch.linalg.lstsq(matrix, right[:, None], driver="gelsd").solution.reshape(head.shape)


CASES = {
    "values of a picture of three channels": ({"value": Value()}, 3, linear.Channels),
    "gradients with a mean": ({"gradient": Gradient(), "mean": Mean(count=9)}, 1, linear.Channels),
    "Laplacian, weak form and border": (
        {"laplacian": Laplacian(), "weak": Differences(3.0, count=40), "border": Border(count=20)}, 3, linear.Channels,
    ),
    "values and gradients at the same points": ({"value": Value(), "gradient": Gradient(0.1)}, 1, linear.Channels),
    "complex": ({"rotated": Rotated()}, 2, linear.Complex),
    "coupled": ({"coupled": Coupled(2.0)}, 2, linear.Coupled),
    "complex beside coupled": ({"rotated": Rotated(), "coupled": Coupled()}, 2, linear.Coupled),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("block", [1, 2**22])
def test_the_best_head_is_that_of_the_explicit_matrix(case, block, monkeypatch):
    """Weights to 1e-6, where the problem is well conditioned, and the loss to rounding; in blocks of any size."""
    terms, channels, kind = CASES[case]
    field, loss, batch, weights = setting(terms, channels)
    expected = explicit(field, loss, batch, weights)
    monkeypatch.setattr(linear, "_BLOCK", block)
    layout, normal = linear.equations(field, loss, batch, weights)
    assert type(layout) is kind
    Head(field.parameters()).solve(field, loss, batch, weights)
    found = torch.cat([field.head.weight, field.head.bias[:, None]], dim=1).detach()
    assert distance(found, expected) < 1e-6
    assert normal.loss(layout.unknowns(found)).item() == pytest.approx(total(field, loss, batch, weights).item())


def test_dependent_features_are_solved_by_the_ridge():
    """Each feature twice: no unique head, and the loss is the best all the same."""
    field, loss, batch, weights = setting({"value": Value()}, width=8)
    single = copy.deepcopy(field)
    Head(single.parameters()).solve(single, loss, batch, weights)
    with torch.no_grad():
        field.layers[1].weight[4:] = field.layers[1].weight[:4]
        field.layers[1].bias[4:] = field.layers[1].bias[:4]
    Head(field.parameters()).solve(field, loss, batch, weights)
    expected = explicit(field, loss, batch, weights)
    best = copy.deepcopy(field)
    with torch.no_grad():
        best.head.weight.copy_(expected[:, :-1])
        best.head.bias.copy_(expected[:, -1])
    assert total(field, loss, batch, weights) <= total(best, loss, batch, weights) * (1 + 1e-9)


def test_the_gradient_at_the_best_head_is_that_of_the_reduced_loss():
    """By differences of the loss after a new solve."""
    field, loss, batch, weights = setting({"value": Value()})
    head = Head(field.parameters())
    head.solve(field, loss, batch, weights)
    total(field, loss, batch, weights).backward()
    weight, slope = field.layers[0].weight, field.layers[0].weight.grad[1, 0].item()
    values = []
    for shift in (1e-5, -2e-5):
        with torch.no_grad():
            weight[1, 0] += shift
        head.solve(field, loss, batch, weights)
        values.append(total(field, loss, batch, weights).item())
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-4)
    assert field.head.weight.grad.abs().max() < 1e-9


def test_a_field_of_single_precision_is_solved_in_double_and_says_what_rounding_costs(caplog):
    """Nearly equal features need large weights, which float32 spoils."""
    field, loss, (samples,), weights = setting({"value": Value()}, width=8)
    with torch.no_grad():  # two features whose difference, a third function, is to be fitted
        last = field.layers[1]
        last.weight[1], last.bias[1] = last.weight[0], last.bias[0] + 1e-5
    single = copy.deepcopy(field).float()
    with torch.no_grad():
        one, other = copy.deepcopy(single).double().features(samples.x, 0).value[:, :2].unbind(1)
    batch = [samples._replace(known=Jet((1234567.1 * other - 1234567.0 * one)[:, None]))]
    with caplog.at_level(logging.WARNING):
        Head(single.parameters()).solve(single, loss, batch, weights)
    assert single.head.weight.dtype == torch.float32
    assert "trainer.precision=64-true keeps it" in caplog.text


def test_a_loss_that_is_not_affine_is_refused_by_name():
    field, loss, *_ = setting({"value": Value(), "spread": Spread()})
    with pytest.raises(UserError, match=r"loss\.terms\.spread \(Spread\) is not; leave it out, ~loss\.terms\.spread"):
        Head(field.parameters()).check(field, loss, 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["field=bspline", "signal.size=16"], "needs a field with a head, which BSpline lacks"),
        (["optimizer.every=0"], r"optimizer\.every must be"),
        (["optimizer.ridge=-1"], r"optimizer\.ridge must be"),
        (["optimizer.hidden={_target_:torch.optim.Adam,_partial_:true,lr:-1}"], "Invalid learning rate: -1"),
    ],
)
def test_what_cannot_be_solved_is_refused_by_one_line(overrides, message, fit):
    with pytest.raises(UserError, match=message):
        fit("optimizer=head", "trainer.accelerator=cpu", *overrides)


RUN = [*SMALL, "data.eval_every=2", "data.batch_size=null"]


@pytest.mark.parametrize("loss", ["value", "gradient", "laplacian", "sobolev"])
def test_a_picture_is_solved_in_one_step(loss, fit):
    """All losses of pictures are linear in the head; the fit is finished at once, and better than Adam's start."""
    found = fit(*RUN, "optimizer=head", "field.depth=-1", "encoding.frequencies=120", f"loss={loss}",
                "encoding.highest=4", "trainer.max_steps=1", "trainer.gradient_clip_val=1")  # fmt: skip
    assert found["steps"] == 1
    assert found["psnr"] > 22


def test_alternating_beats_the_features_at_their_start(fit):
    """Trained features carry more than those of the start."""
    once = fit(*RUN, "optimizer=head", "trainer.max_steps=1", folder="once")
    trained = fit(*RUN, "optimizer=alternating", "trainer.max_steps=20", folder="trained")
    assert trained["loss"] < 0.8 * once["loss"]


def test_the_head_alone_is_all_that_moves():
    field, loss, batch, weights = setting({"value": Value()})
    before = [p.detach().clone() for p in field.layers.parameters()]
    optimizer = Head(field.parameters())
    optimizer.solve(field, loss, batch, weights)
    optimizer.step(lambda: total(field, loss, batch, weights))
    assert all(torch.equal(p, old) for p, old in zip(field.layers.parameters(), before, strict=True))
    assert isinstance(field, CoordinateMLP)


@pytest.mark.parametrize(("frequencies", "warned"), [(130, True), (140, False)])
def test_waves_with_gaps_between_them_are_warned_of(frequencies, warned, caplog):
    """8 pi cycles² are 201 degrees of freedom below 4 cycles on [-1, 1]^2: 1.3 times that are needed, two a row."""
    _, loss, *_ = setting({"value": Value()})
    waves = Radial(2, frequencies, highest=4.0, exponent=0.5)
    with torch.no_grad():
        waves.matrix[0] *= 8 * math.pi / waves.matrix[0].norm()  # one of the highest
    field = CoordinateMLP(2, 1, depth=-1, activation=Sine(), encoding=waves)
    with caplog.at_level(logging.WARNING):
        Head(field.parameters()).check(field, loss, 1)
    assert ("leave gaps" in caplog.text) is warned
    assert ("encoding.frequencies=131" in caplog.text) is warned
