"""A prior over whole pictures: tiles equal the whole, turns go through, files say what is wrong with them."""

import numpy as np
import pytest
import torch

from sinefield.activations.sine import Sine
from sinefield.activations.tanh import Tanh
from sinefield.errors import UserError
from sinefield.fields.local_prior import LocalPrior
from sinefield.fields.mlp import CoordinateMLP
from sinefield.signals import prior as module
from sinefield.signals import spline
from sinefield.signals.decoding.pixels import decode
from sinefield.signals.image import Image
from sinefield.signals.prior import Prior, packed, read

pytestmark = pytest.mark.usefixtures("float64")

PHOTOGRAPHS = ("camera", "astronaut", "chelsea", "coffee")  # held out of the training of the package's prior


def field() -> LocalPrior:
    torch.manual_seed(0)
    made = LocalPrior(
        CoordinateMLP(2, 1, width=8, depth=1, activation=Sine(omega0=4.0, hidden_omega0=2.0)), features=8, depth=1
    )
    torch.nn.init.normal_(made.head.weight)
    torch.nn.init.normal_(made.codes.weight)
    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prior.npz"
    path.write_bytes(packed(field()))
    return path


SAMPLES = np.random.default_rng(0).uniform(-1, 1, (23, 17, 3))
DOWN, ACROSS = np.linspace(-0.5, 22.5, 31), np.linspace(-0.5, 16.5, 26)


def test_tiles_equal_the_whole(file, monkeypatch):
    whole = Prior(file).correction(SAMPLES, DOWN, ACROSS, 2)
    monkeypatch.setattr(module, "_TILE", 5)
    monkeypatch.setattr(module, "_POINTS", 7)
    for part, tiled in zip(whole, Prior(file).correction(SAMPLES, DOWN, ACROSS, 2), strict=True):
        assert np.abs(part).max() > 0.1
        assert np.abs(part - tiled).max() < 1e-12


def test_derivatives_are_those_of_the_values(file):
    """By central differences, inside of the picture."""
    prior, step = Prior(file), 1e-5
    down, across = np.linspace(2.1, 20.3, 9), np.linspace(1.2, 15.4, 8)
    _, gradient, laplacian = prior.correction(SAMPLES, down, across, 2)
    moved = {
        (i, j): prior.correction(SAMPLES, down + i * step, across + j * step)[0]
        for i, j in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
    }
    slopes = [(moved[0, 1] - moved[0, -1]) / (2 * step), (moved[1, 0] - moved[-1, 0]) / (2 * step)]
    assert np.abs(np.stack(slopes, axis=-1) - gradient).max() < 1e-6
    curved = (sum(moved.values()) - 5 * moved[0, 0]) / step**2
    assert np.abs(curved - laplacian).max() < 1e-3 * np.abs(laplacian).max()


def test_it_keeps_the_samples(file):
    assert np.abs(Prior(file, symmetric=True).refined(SAMPLES)[::2, ::2]).max() < 1e-12


@pytest.mark.parametrize("turn", range(8))
def test_the_mean_over_the_turns_is_alike_for_all_of_them(file, turn):
    prior = Prior(file, symmetric=True)

    def turned(values: np.ndarray) -> np.ndarray:
        values = values.swapaxes(0, 1) if turn & 1 else values
        return values[:: -1 if turn & 2 else 1, :: -1 if turn & 4 else 1]

    assert np.abs(prior.refined(turned(SAMPLES)) - turned(prior.refined(SAMPLES))).max() < 1e-12
    fine = prior.correction(SAMPLES, np.arange(45) / 2, np.arange(33) / 2, 2)
    grids = [np.arange(2 * n - 1) / 2 for n in turned(SAMPLES).shape[:2]]
    again = prior.correction(turned(SAMPLES), *grids, 2)
    assert np.abs(again[2] - turned(fine[2])).max() < 1e-10
    norms = [np.linalg.norm(parts[1], axis=-1) for parts in (again, fine)]
    assert np.abs(norms[0] - turned(norms[1])).max() < 1e-11


def test_a_file_has_the_field(file):
    """In half precision, with its knobs."""
    again, expected = read(file), field()
    assert again.activation.omega0 == expected.activation.omega0
    for name, tensor in expected.state_dict().items():
        assert (again.state_dict()[name] - tensor).abs().max() <= 1e-3 * (1 + tensor.abs().max())
    samples = torch.rand(1, 20, 20)
    distance = (again.make(samples) - expected.make(samples)).norm() / expected.make(samples).norm()
    assert distance < 2e-3


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b.replace(b"knobs", b"knobz"), lambda b: b"PK" + b]
)
def test_a_damaged_file_is_one_line(file, spoil):
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(UserError, match=r"holds no prior .* make one by scripts/prior\.py"):
        Prior(file)


def test_a_file_of_other_sizes_is_refused_before_they_take_memory(file):
    with np.load(file) as archive:
        arrays = dict(archive) | {"knobs": np.array([10**9, 1, 10**9, 1])}
    np.savez(file, **arrays)
    with pytest.raises(UserError, match="holds no prior"):
        read(file)


def test_there_is_no_such_prior():
    with pytest.raises(UserError, match="choose from natural"):
        Prior("unnatural")


def test_other_activations_are_not_packed():
    with pytest.raises(UserError, match="of sines"):
        packed(LocalPrior(CoordinateMLP(2, 1, width=8, depth=1, activation=Tanh()), features=8, depth=1))


def test_the_packaged_prior_is_small_and_good():
    """0.2 dB above the spline on a part of each of four pictures never trained on, 0.6 dB on average."""
    assert len(packed(prior_field := read("natural"))) < 300_000
    assert prior_field.exact
    prior = Prior("natural")
    gains = []
    for name in PHOTOGRAPHS:
        pixels = 2 * decode(f"skimage:{name}")[100:229, 100:229] - 1
        samples = pixels[::2, ::2]
        plain = spline.refined(samples)
        errors = [np.square(fine - pixels).mean() for fine in (plain, plain + prior.refined(samples))]
        gains.append(10 * np.log10(errors[0] / errors[1]))
    assert min(gains) > 0.2
    assert np.mean(gains) > 0.6


def test_a_signal_has_both():
    """Its jet goes through the refined picture, and the plain spline is what it is compared with."""
    own, plain = (Image("skimage:camera", size=48, prior=prior) for prior in ("natural", None))
    assert (own.prior, plain.prior) == (True, False)
    grid, x = own.grid(), own.uniform(100, torch.Generator().manual_seed(0))
    assert (own.jet(grid, 0).value - plain.jet(grid, 0).value).abs().max() < 1e-12
    assert torch.equal(own.interpolated(x), plain.jet(x, 0).value)
    samples = own.fine[::2, ::2].numpy()
    fine = spline.refined(samples) + Prior("natural").refined(samples)
    found = own.jet(own.grid(upsampling=2), 0).value
    assert np.abs(found.reshape(fine.shape).numpy() - fine).max() < 1e-6
    assert (own.jet(x, 0).value - plain.jet(x, 0).value).abs().max() > 1e-3
