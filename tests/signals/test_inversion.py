"""What is measured of a medium: geometry, data, noise, and files of speeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sinefield.errors import UserError
from sinefield.signals.inversion import Inversion
from sinefield.signals.seismic import Seismic, composed
from sinefield.solvers.scattering import Scattering

pytestmark = pytest.mark.usefixtures("float64")


def small(**knobs) -> Inversion:
    return Inversion(Scattering([6.0]), **{"size": 21, "sources": 3, "receivers": 8, **knobs})


def seismic(**knobs) -> Seismic:
    return Seismic(**knobs)


def test_the_true_fields_medium_is_the_true_medium():
    """start + scale s at the nodes."""
    signal = small(medium="disc", start="square", scale=0.3)
    assert torch.allclose(signal.medium(signal.jet(signal.grid(), 0).value), signal.truth, atol=1e-12)
    assert signal.truth.min() == 0.25
    assert signal.medium(torch.full((441, 1), 1e6)).unique().tolist() == [4.0]  # within the bounds


def test_sources_and_receivers_lie_on_the_circle():
    signal = small(size=101, sources=4, radius=0.4)
    assert signal.sources.tolist() == [[50, 10], [10, 50], [50, 90], [90, 50]]
    assert torch.allclose(signal.positions(signal.sources)[0], torch.tensor([-0.8, 0.0]), atol=1e-12)
    r = signal.positions(signal.receivers).norm(dim=1) / 2
    assert (r - 0.4).abs().max() < 0.75 / 100


def test_data_are_of_a_finer_grid_with_noise():
    """The solver does not explain them to the last digit, and does so better on a finer grid."""
    misfits = []
    for size in (21, 41):
        signal = small(size=size, noise=0.0)
        error = signal.data(signal.truth) - signal.observed
        misfits.append((error.norm() / signal.observed.norm()).item())
    assert 0 < misfits[1] < 0.5 * misfits[0]
    clean, noisy = small(noise=0.0).observed, small(noise=0.1).observed
    assert ((noisy - clean).norm() / clean.norm()).item() == pytest.approx(0.1, rel=0.2)
    assert torch.equal(noisy, small(noise=0.1).observed)


def test_a_start_that_explains_everything_is_said():
    with pytest.raises(UserError, match="explains all data"):
        seismic_like_start()


def seismic_like_start():
    signal = small(medium="uniform", noise=0.0)
    signal._observed = signal.data(signal.start)
    return signal.error_at_start


def test_speeds_of_files(tmp_path):
    """km/s are taken for m/s; the spacing grows as the nodes get fewer."""
    speeds = composed()
    np.save(tmp_path / "km.npy", speeds / 1000)
    np.save(tmp_path / "start.npy", np.full_like(speeds, 2000))
    signal = seismic(path=tmp_path / "km.npy", start=tmp_path / "start.npy", size=None)
    assert signal.shape == (87, 281)
    assert torch.allclose(signal.truth, torch.from_numpy(speeds))
    assert signal.files == (str(tmp_path / "km.npy"), str(tmp_path / "start.npy"))
    half = seismic(path=tmp_path / "km.npy", size=141, receivers=5)
    assert half.shape == (44, 141)
    assert half.propagator.spacing == 40
    assert half.receivers[:, 0].unique().tolist() == [1]
    assert half.receivers[:, 1].tolist() == [23, 47, 70, 93, 117]
    rises = half.start[:, 0].diff()
    assert (rises >= 0).all()
    assert (half.start == half.start[:, :1]).all()


def test_bad_input_is_one_line(tmp_path):
    for knobs, reason in (
        ({"radius": 0.7}, "at most 0.5"),
        ({"scale": 0.0}, "signal.scale"),
        ({"bounds": [2.0, 1.0]}, "two numbers"),
        ({"sources": 0}, "signal.sources"),
        ({"medium": "cube"}, "no medium or file"),
    ):
        with pytest.raises(UserError, match=reason):
            small(**knobs)
    np.save(tmp_path / "a.npy", np.full((9, 9), 90_000.0))
    with pytest.raises(UserError, match="m/s or km/s"):
        seismic(path=tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.full((9, 9), 2.0))
    with pytest.raises(UserError, match="make them alike"):
        seismic(start=tmp_path / "b.npy")
    with pytest.raises(UserError, match=r"conf/signal/propagator"):
        Inversion("helmholtz")
