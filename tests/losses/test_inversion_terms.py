"""The terms of an inversion: the misfit of data, total variation, roughness."""

from __future__ import annotations

import pytest
import torch

from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.losses.data_misfit import DataMisfit
from sinefield.losses.roughness import Roughness
from sinefield.losses.total_variation import TotalVariation
from sinefield.signals.analytic import Analytic
from sinefield.signals.inversion import Inversion
from sinefield.solvers.scattering import Scattering

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def signal() -> Inversion:
    return Inversion(Scattering([5.0, 9.0]), size=13, sources=3, receivers=7, noise=0.0)


def misfit(term: DataMisfit, signal: Inversion, medium: torch.Tensor, seed: int = 0) -> float:
    """Of a field that stands for the medium."""
    x = term.points(signal, torch.Generator().manual_seed(seed), 0.0)
    known = term.known(signal, x)
    values = torch.zeros(len(x), 1)
    values[: len(signal)] = ((medium - signal.start) / 0.75).reshape(-1, 1)
    found = term(Jet(values), known, x)
    assert found.shape == (1,)
    return found.item()


def test_the_misfit_is_1_at_the_start_and_0_where_the_data_are_met(signal):
    term = DataMisfit()
    assert misfit(term, signal, signal.start) == pytest.approx(1)
    signal._observed = signal.data(signal.truth)
    signal._error_at_start = None
    assert misfit(term, signal, signal.truth) == pytest.approx(0, abs=1e-20)


def test_some_sources_give_the_whole_misfit_in_the_mean(signal):
    """Over all draws, each source as often as any other."""
    medium = 0.5 * (signal.start + signal.truth)
    singles = {}
    for seed in range(40):
        term = DataMisfit(sources=1)
        x = term.points(signal, torch.Generator().manual_seed(seed), 0.0)
        assert x.shape == (len(signal) + 1, 2)
        singles[tuple(x[-1].tolist())] = misfit(term, signal, medium, seed)
    assert len(singles) == 3
    assert sum(singles.values()) / 3 == pytest.approx(misfit(DataMisfit(), signal, medium))


def test_total_variation_of_a_slope_is_its_length():
    """sqrt(|g|^2 + e^2) - e, near |g| for steep and |g|^2 / 2e for slight slopes."""
    gradient = torch.tensor([[[3.0, 4.0]], [[3e-3, 4e-3]]])
    found = TotalVariation(epsilon=0.1)(Jet(torch.zeros(2, 1), gradient), Jet(torch.zeros(2, 0)), torch.zeros(2, 2))
    assert found.tolist() == pytest.approx([5 - 0.1, 1.25e-4], rel=1e-3)


def test_roughness_is_the_squared_laplacian():
    jet = Jet(torch.zeros(2, 1), torch.zeros(2, 1, 2), torch.tensor([[[3.0]], [[0.0]]]))
    assert Roughness()(jet, Jet(torch.zeros(2, 0)), torch.zeros(2, 2)).tolist() == [9, 0]


def test_bad_input_is_one_line(signal):
    with pytest.raises(UserError, match="take signal=inversion"):
        DataMisfit().mean_square(Analytic(9))
    with pytest.raises(UserError, match="the signal has 3"):
        DataMisfit(sources=4).mean_square(signal)
    with pytest.raises(UserError, match="epsilon"):
        TotalVariation(epsilon=0.0)
