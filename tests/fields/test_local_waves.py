"""Local waves against autograd, the discrete basis and a picture that they must give back."""

from __future__ import annotations

import pytest
import torch
from discover import distance

from sinefield.compression.files import samples
from sinefield.core.jet import autograd_jet
from sinefield.fields.local_waves import LocalWaves, basis

pytestmark = pytest.mark.usefixtures("float64")
SIZES = [((20, 30), 8), ((8, 16), 8), ((5, 33), 8), ((16, 3), 32)]  # with whole blocks, parts of one, and one alone


def field(shape, size, channels=3) -> LocalWaves:
    found = LocalWaves(shape, channels, size)
    with torch.no_grad():
        found.amplitudes.normal_()
    return found


def points(shape, count=100) -> torch.Tensor:
    """All over the box, and half a pixel beyond it, as a rendering has them."""
    n = torch.tensor(shape[::-1])
    return (2 * torch.rand(count, 2) - 1) * n / (n.max() - 1)


@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("operators", [None, torch.eye(2), torch.tensor([[1.0, -4.0], [0.5, 2.0], [0.0, 1.0]])])
def test_jet_equals_autograd(shape, size, operators) -> None:
    function, x = field(shape, size), points(shape)
    operators = None if operators is None else operators.double()
    found, expected = function.jet(x, 2, operators), autograd_jet(function, x, 2, operators)
    assert [part.shape for part in found.parts] == [part.shape for part in expected.parts]
    for part, other in zip(found.parts, expected.parts, strict=True):
        assert distance(part, other) < 1e-12


@pytest.mark.parametrize("order", [0, 1, 2])
def test_gives_the_parts_promised_in_the_order_of_the_points(order) -> None:
    function, x = field((20, 30), 8), points((20, 30))
    jet = function.jet(x, order)
    assert jet.order == order
    assert distance(jet.value[7:8], function(x[7:8])) < 1e-14
    assert function.jet(x[:0], order).value.shape == (0, 3)
    assert function(x.reshape(4, 25, 2)).shape == (4, 25, 3)


@pytest.mark.parametrize("samples_", [3, 8, 16, 20, 33])
def test_waves_are_orthonormal_at_the_samples(samples_) -> None:
    matrix = basis(samples_, 8)
    assert (matrix.mT @ matrix - torch.eye(len(matrix))).abs().max() < 1e-14


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_the_function_has_the_sums_of_the_basis_at_the_samples(shape, size) -> None:
    function = field(shape, size, channels=2)
    down, across = basis(shape[0], size), basis(shape[1], size)
    blocks = function.amplitudes.permute(0, 2, 1, 3, 4).reshape(len(down), len(across), 2)
    expected = function.colour(torch.einsum("ni,ijc,mj->nmc", down, blocks, across)[: shape[0], : shape[1]])
    assert distance(function(samples(shape).double()).reshape(*shape, 2), expected) < 1e-5  # samples are float32


def test_the_laplacian_is_continuous_where_windows_begin() -> None:
    """At y = 1/2, 3/2, .. in blocks, on both sides."""
    function = field((32, 32), 8)
    edge = torch.tensor([((12 - 0.5) - 31 / 2) / (31 / 2)])
    sides = torch.stack([torch.stack([edge + e, torch.full_like(edge, 0.1)], -1).squeeze(0) for e in (-1e-9, 1e-9)])
    jet = function.jet(sides, 2)
    assert all(distance(part[0], part[1]) < 1e-6 for part in jet.parts)
