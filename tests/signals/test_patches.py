"""Patches of many pictures: what is seen are pixels of the truth, whatever is done to a patch."""

import numpy as np
import pytest
import torch
from PIL import Image

from sinefield.core.jet import autograd_jet
from sinefield.errors import UserError
from sinefield.losses.base import Loss
from sinefield.losses.value import Value
from sinefield.signals import spline
from sinefield.signals.patches import Patches
from sinefield.signals.shown import seeded
from sinefield.training.data import SignalData

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    """Three pictures, grey and in colour, of different sizes."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    shapes = [(41, 60, 3), (70, 45), (50, 50, 3)]
    paths = [str(folder / f"{name}.png") for name in "abc"]
    for path, shape in zip(paths, shapes, strict=True):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return paths


def make(files, **knobs) -> Patches:
    knobs = {"size": 8, "margin": 4, "points": 32, **knobs}
    return Patches(files[:2], files[2:], **knobs)


def numbers(k=0) -> torch.Generator:
    return torch.Generator().manual_seed(k)


@pytest.mark.parametrize("factor", [2, 3])
def test_what_is_seen_is_the_truth_at_the_samples(files, factor):
    """Turned, mirrored, mixed and dimmed alike."""
    signal = make(files, factor=factor, size=6)
    turns = set()
    for point in signal.draw(40 * 32, numbers())[::32]:
        number, view = point[2:].long().tolist()
        seen = signal.look(torch.tensor([number]), torch.tensor([view]))
        inside = (seen.x.abs() <= 1 + 1e-9).all(dim=1)
        x = torch.cat([seen.x[inside], point[2:].expand(int(inside.sum()), 2)], dim=1)
        torch.testing.assert_close(signal.jet(x, 0).value, seen.values[0, inside])
        turns.add(signal.pictures[number].random(seeded(number, view)).turn)
    assert turns == set(range(8))


def test_jet_is_that_of_autograd(files):
    signal = make(files)
    x = signal.draw(96, numbers())
    expected = autograd_jet(lambda x: signal.jet(x, 0).value, x, 2, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    found = signal.jet(x, 2)
    torch.testing.assert_close(found.value, expected.value)
    torch.testing.assert_close(found.gradient, expected.gradient[..., :2])
    torch.testing.assert_close(found.second, expected.second)


def test_a_held_out_tile_is_the_picture_as_it_is(files):
    """Its grey values at all pixels, and the spline through every second of them where that is asked for."""
    signal = make(files)
    (number,) = signal.held_out
    grey = np.asarray(Image.open(files[2])) / 127.5 - 1
    grey = grey @ [0.299, 0.587, 0.114]
    n = signal.side
    assert signal.tiles(number) == list(range(9))
    pixels = torch.stack(torch.meshgrid(torch.arange(n), torch.arange(n), indexing="xy"), dim=-1).flatten(0, 1) / 2
    x = signal.coordinates(pixels)
    x[:, 2], x[:, 3] = number, 5  # second row of three, third column
    expected = grey[n - 1 : 2 * n - 1, 2 * (n - 1) : 3 * (n - 1) + 1]
    assert np.abs(signal.jet(x, 0).value.reshape(n, n).numpy() - expected).max() < 1e-12
    # Inside of the picture the spline through what is seen of the patch is that through all, but for 0.27^4 and less.
    wide = np.pad(grey, 8, mode="reflect")[n - 1 : 2 * n - 1 + 16, 2 * (n - 1) : 3 * (n - 1) + 17]
    fine = spline.refined(wide[::2, ::2, None])[8:-8, 8:-8, 0]
    assert np.abs(signal.interpolated(x).reshape(n, n).numpy() - fine).max() < 1e-12


def test_points_lie_between_the_samples(files):
    """Half of them at pixels that are no samples, the others anywhere; whole patches at a time."""
    signal = make(files, points=500)
    x = signal.draw(1000, numbers())
    assert x.shape == (1000, 4)
    assert len(x[:, 2:].unique(dim=0)) == 2
    u = signal.pixels(x)
    assert u.min() >= 0
    assert u.max() <= 7
    whole = ((2 * u - (2 * u).round()).abs() < 1e-9).all(dim=1)
    assert 0.4 < whole.double().mean() < 0.6
    assert ((u - u.round()).abs() > 0.4).any(dim=1)[whole].all()


def test_a_batch_is_a_function_of_seed_and_step(files):
    loss = Loss({"value": Value()})
    first, again, other = (SignalData(make(files), loss, batch_size=64, seed=seed) for seed in (1, 1, 2))
    first.batch(0)
    (one,), (two,), (three,) = first.batch(3), again.batch(3), other.batch(3)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.known.value, two.known.value)
    assert not torch.equal(one.x, three.x)
    assert not torch.equal(one.x, first.batch(4)[0].x)


def test_blur_and_noise_are_on_what_is_seen_alone(files):
    sharp, worse = make(files), make(files, low_pass=1.0, noise=0.1)
    x = sharp.draw(32, numbers())
    assert torch.equal(sharp.jet(x, 0).value, worse.jet(x, 0).value)
    about = (x[:1, 2].long(), x[:1, 3].long())
    difference = (sharp.look(*about).values - worse.look(*about).values).std()
    assert difference > 0.1
    assert torch.equal(worse.look(*about).values, worse.look(*about).values)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [({"size": 30}, "smaller signal.size"), ({"size": 4}, "at least 5"), ({"factor": 0}, "at least 1")],
)
def test_what_cannot_be_is_refused(files, knobs, said):
    with pytest.raises(UserError, match=said):
        make(files, **knobs)


def test_a_picture_is_learnt_from_or_held_out(files):
    with pytest.raises(UserError, match=r"learnt from too: a\.png"):
        Patches(files, files[:1], size=8)


def test_a_field_that_looks_too_far_is_refused(files):
    class Field:
        reach = 5

        def observe(self, look): ...

    with pytest.raises(UserError, match="give 5"):
        make(files).show(Field())
    with pytest.raises(UserError, match="field=local_prior"):
        make(files).show(torch.nn.Linear(2, 1))


def test_pictures_are_learnt_from_at_several_resolutions(files):
    """41 x 60 and 70 x 45 pixels; patches of 15 do not fit into a third of the first."""
    signal = make(files, scales=[1.0, 0.5, 0.34], level=None)
    wide = 4 * signal.margin  # on both sides, in pixels
    sizes = [tuple(n - wide for n in shown.seen.shape[:2]) for shown in signal.pictures]
    assert sizes == [(41, 60), (20, 30), (70, 45), (35, 22), (23, 15), (50, 50)]
    assert make(files, scales=[0.1], level=None).count == 2  # too small at that: as they are
    with pytest.raises(UserError, match=r"signal\.scales must be above 0 and at most 1, not 2"):
        make(files, scales=[2])


def test_softened_pictures_are_learnt_from_too(files):
    """Blurred, as further pictures; none of them is held out."""
    signal = make(files, scales=[1.0], softened=[1.0], level=None)
    assert signal.count == 4
    assert signal.held_out == [4]
    sharp, soft = (signal.pictures[k].seen[4:-4, 4:-4] for k in (2, 3))
    assert 0.2 < (soft.std() / sharp.std()) < 0.4  # of white noise: 1 / (2 sqrt(pi))


def test_the_spline_misses_all_pictures_by_the_same(files):
    """But one that would have to be multiplied by more than `most`; what is held out stays as it is."""
    plain, alike = (make(files, scales=[1.0], softened=[1.0], level=level) for level in (None, 0.05))
    capped = make(files, scales=[1.0], softened=[1.0], level=0.05, most=0.5)
    for k in range(5):
        seen = alike.pictures[k].seen.numpy().mean(-1, keepdims=True)[8:-8, 8:-8]  # without the margin
        seen = seen[: (seen.shape[0] - 1) // 2 * 2 + 1, : (seen.shape[1] - 1) // 2 * 2 + 1]
        off = np.ones(seen.shape, dtype=bool)
        off[::2, ::2] = False
        error = np.sqrt(np.square(spline.refined(seen[::2, ::2]) - seen)[off].mean())
        factors = [(other.pictures[k].c / plain.pictures[k].c).median().item() for other in (alike, capped)]
        if k < 4:
            assert abs(error / 0.05 - 1) < 1e-9
            assert factors[1] == pytest.approx(min(0.5, factors[0]))
        else:
            assert factors == [1.0, 1.0]
