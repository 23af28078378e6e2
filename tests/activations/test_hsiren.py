"""H-SIREN's first layer, written out with NumPy; behind it, and behind an encoding, it is SIREN."""

import numpy as np
import pytest
import torch
from discover import distance

from sinefield.activations.hsiren import HSiren
from sinefield.activations.sine import Sine
from sinefield.encodings.radial import Radial
from sinefield.fields.mlp import CoordinateMLP

pytestmark = pytest.mark.usefixtures("float64")


def test_only_the_first_layer_has_the_hyperbolic_sine():
    field = CoordinateMLP(2, 1, 16, 1, activation=HSiren(omega0=7.0, hidden_omega0=20.0))
    x = 2 * torch.rand(50, 2) - 1
    maps = [(part.weight.detach().numpy(), part.bias.detach().numpy()) for part in (*field.layers, field.head)]
    h = np.sin(7 * np.sinh(2 * (x.numpy() @ maps[0][0].T + maps[0][1])))
    h = np.sin(20 * (h @ maps[1][0].T + maps[1][1]))
    assert distance(field(x).detach(), torch.from_numpy(h @ maps[2][0].T + maps[2][1])) < 1e-13


def test_behind_an_encoding_it_is_siren():
    encoding = Radial(2, 16)
    ours, theirs = (CoordinateMLP(2, 1, 16, 1, activation=a, encoding=encoding) for a in (HSiren(), Sine()))
    theirs.load_state_dict(ours.state_dict())
    x = 2 * torch.rand(50, 2) - 1
    assert torch.equal(ours(x), theirs(x))


def test_far_out_it_stays_where_it_is_at_six():
    value, slope, curvature = HSiren()(torch.tensor([6.0, 7.0, -1e4]), order=2, first=True)
    assert value[0] == value[1] == -value[2]
    assert value[0].item() == pytest.approx(np.sin(30 * np.sinh(12.0)), abs=1e-9)
    assert not slope[1:].any()
    assert not curvature[1:].any()
