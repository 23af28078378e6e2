"""`.sine` files: what is written comes back, as announced, and what is none is refused in one line."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch
from conftest import ROOT
from discover import distance, tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from processes import run
from skimage.data import astronaut

import sinefield
from sinefield import render
from sinefield.activations.sine import Sine
from sinefield.compression import Decoded, compress_picture, compress_run, context, networks, waves
from sinefield.compression.coder import SCALES
from sinefield.compression.files import drawn, pack, samples, unpack
from sinefield.compression.rivals import psnr, rivals
from sinefield.core.jet import autograd_jet
from sinefield.encodings.radial import Radial
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP

SCRIPT = ROOT / "scripts" / "compress.py"
PICTURE = np.ascontiguousarray(astronaut()[100:160, 180:260])  # 60 x 80, no whole blocks of 16


@pytest.fixture(scope="module")
def local() -> waves.Waves:
    return waves.compress(PICTURE / 127.5 - 1, rate=2.0, size=16, rounds=4)


@pytest.fixture(scope="module")
def network() -> networks.Network:
    """Of a field that is trained for nothing but rounding."""
    torch.manual_seed(3)
    field = CoordinateMLP(2, 3, 12, 1, activation=Sine(20.0), encoding=Radial(2, 8, 4.0))
    new = CoordinateMLP(2, 3, 12, 1, activation=Sine(20.0), encoding=Radial(2, 8, 4.0, seed=field.encoding.seed))
    values = torch.from_numpy(PICTURE / 127.5 - 1).float().reshape(-1, 3)
    return networks.compress(
        field, networks.described(field, new), samples((60, 80)), values, (60, 80), rate=0.5, steps=60, lr=5e-3
    )


@pytest.fixture(params=["local", "network"])
def picture(request):
    return request.getfixturevalue(request.param)


def test_what_is_packed_is_unpacked(picture) -> None:
    """Whole numbers, and so the function, to the last bit; twice."""
    content = pack(picture)
    found = [unpack(content), unpack(content)]
    for one in found:
        assert all(map(np.array_equal, one.q, picture.q))  # by channel, or by tensor
    states = [one.field().state_dict() for one in (picture, *found)]
    for name, tensor in states[0].items():
        assert all(torch.equal(tensor, state[name]) for state in states[1:])
    assert np.array_equal(drawn(found[0]), drawn(found[1]))
    assert pack(found[0]) == content


def _below(z: np.ndarray) -> np.ndarray:
    """Laplace's distribution function."""
    return np.where(z < 0, np.exp(np.minimum(z, 0)) / 2, 1 - np.exp(-np.maximum(z, 0)) / 2)


def test_a_file_of_waves_is_as_long_as_its_entropy(local) -> None:
    """Laplace's, of the scales that the model finds, by NumPy; and beside it a few dozen bytes that are none."""
    known = context.Amplitudes((3, 16, 4, 5))
    known.inside[...] = local.q

    def entropy(numbers: np.ndarray, scales: np.ndarray) -> float:
        b, size = SCALES[scales], abs(numbers)
        return float(-np.log2(_below((0.5 - size) / b) - _below((-0.5 - size) / b)).sum())

    total, last = 0.0, waves._last(local.q)
    for group in known.groups([diagonals - 1 for diagonals in last]):
        scales = context.scales(local.weights, known.features(*group))
        total += entropy(known.inside[known.places(*group)], scales)
    total += sum(entropy(w.ravel(), np.full(w.size, waves.scale_of(w))) for w in local.weights)
    beside = 8 * (4 + 4 + 7 + 10 + 24 + 3 + 6)
    assert 8 * len(pack(local)) == pytest.approx(total + beside, rel=0.02)


def test_the_rate_asked_for_is_met(local, network) -> None:
    assert 8 * len(pack(local)) / (60 * 80) == pytest.approx(2.0, rel=0.1)
    assert 0.3 < 8 * len(pack(network)) / (60 * 80) < 0.52  # at most


def test_scales_do_not_depend_on_what_is_not_known_yet(local) -> None:
    """A group's features are the same whatever the numbers of it and of all later groups are."""
    known = context.Amplitudes((3, 16, 4, 5))
    known.inside[...] = local.q
    groups = list(known.groups([30, 30, 30]))
    for i in (0, 1, 9, 20, 62, 63, 100, 185):
        before = known.features(*groups[i])
        other = context.Amplitudes((3, 16, 4, 5))
        other.inside[...] = 7
        for group in groups[:i]:
            other.inside[other.places(*group)] = local.q[known.places(*group)]
        assert np.array_equal(before, other.features(*groups[i]))


def test_the_context_model_is_exact_in_float32(local) -> None:
    """The same scales by whole numbers of 64 bits."""
    known = context.Amplitudes((3, 16, 4, 5))
    known.inside[...] = 40 * local.q
    features = known.features(1, 9, True)
    h = features.astype(np.int64)
    for i, (weight, bias) in enumerate(zip(local.weights[::2], local.weights[1::2], strict=True)):
        h = (weight.astype(np.int64) @ h + 16 * bias.astype(np.int64)[:, None]) // 32
        h = h.clip(0, 1023) if i < 2 else h
    assert np.array_equal(context.scales(local.weights, features), (h[0] + 48).clip(0, 255))


def test_the_loaded_function_has_exact_jets(picture, tmp_path) -> None:
    file = tmp_path / "picture.sine"
    file.write_bytes(pack(picture))
    field = sinefield.decompress(file).double()
    x = 2 * torch.rand(50, 2, dtype=torch.float64) - 1
    for part, other in zip(field.jet(x, 2).parts, autograd_jet(field, x, 2).parts, strict=True):
        assert distance(part, other) < 1e-9


@pytest.mark.parametrize("part", ["value", "gradient", "laplacian"])
def test_a_file_is_drawn_at_any_size(picture, part, tmp_path) -> None:
    file = tmp_path / "picture.sine"
    file.write_bytes(pack(picture))
    render.render(Decoded(file), tmp_path / "large.npy", part=part, scale=1.5)
    assert np.load(tmp_path / "large.npy").shape[:3] == (90, 120, 3)


def test_waves_are_better_than_jpeg() -> None:
    """The picture as it is drawn, and JPEG of the file's size at most, at 1 bit per pixel."""
    truth = np.ascontiguousarray(astronaut()[:192, 130:322])
    found = waves.compress(truth / 127.5 - 1, rate=1.0, size=32, rounds=3)
    assert psnr(drawn(found), truth) > rivals(truth, len(pack(found)))["JPEG"][1] + 1


def test_a_small_picture_pays_for_few_weights(local) -> None:
    """All 625 at the 4 bits that they start with would be more than a quarter of this file."""
    assert context.cost([torch.from_numpy(w) for w in local.weights]) < 0.25 * 8 * len(pack(local))


def test_the_script_announces_what_comes_back(tmp_path) -> None:
    pixels = PICTURE[:24, :32]
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    options = ("rate=8", "block=8", "compare=picture.png")
    made = run("picture=picture.png", "out=picture.sine", *options, script=SCRIPT, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    said = made.stdout.splitlines()[-3]
    assert said.startswith(f"picture.sine: {(tmp_path / 'picture.sine').stat().st_size:,} bytes, ")
    assert [line[:5] for line in made.stdout.splitlines()[-2:]] == ["JPEG:", "WebP:"]
    back = run("picture.sine", "out=back.png", script=SCRIPT, cwd=tmp_path)
    assert back.returncode == 0, back.stderr
    with Image.open(tmp_path / "back.png") as found:
        assert f"{psnr(np.asarray(found), pixels):.2f} dB" == said.rpartition(", ")[2]


def test_a_grey_picture_and_one_of_a_single_colour(tmp_path) -> None:
    for name, pixels in {"grey": PICTURE[:32, :40, 0], "flat": np.full((20, 30, 3), 77, np.uint8)}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        compress_picture(tmp_path / f"{name}.png", tmp_path / f"{name}.sine", rate=3.0, block=8)
        found = drawn(unpack((tmp_path / f"{name}.sine").read_bytes()))
        assert psnr(found.squeeze(), pixels) > (30 if name == "grey" else 50)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_cut_file_is_one_line(local, network, kind, tmp_path) -> None:
    content, file = pack((local, network)[kind]), tmp_path / "cut.sine"
    for length in (0, 3, 4, 7, 8, 14, 15, 30, 60, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.sine is no picture as a function: ") as caught:
            sinefield.decompress(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="there is no file"):
        sinefield.decompress(tmp_path)


def hostile(content: bytes, changes: list[tuple[int, int]], length: int) -> bytes:
    """A file with other bytes, some behind the checksum, which is made to fit."""
    body = bytearray(content[8:])
    for place, value in changes:
        body[place % len(body)] = value
    body = body[: max(7, length % (len(body) + 1))] if length else body
    return content[:4] + struct.pack("<I", zlib.crc32(bytes(body))) + bytes(body)


@given(st.data())
@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_a_hostile_file_is_a_function_or_one_line(local, network, data) -> None:
    """Of any size that its head may claim: with a checksum that fits, and within the memory of the largest picture."""
    content = pack(data.draw(st.sampled_from([local, network])))
    place = st.one_of(st.integers(0, 60), st.integers(0, len(content)))
    changes = data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=4))
    changes = [(at, value) for at, value in changes if at not in (3, 5)]  # heights and widths of thousands take seconds
    damaged = hostile(content, changes, data.draw(st.sampled_from([0, 0, 40, 200])))
    found, said = tried(lambda: unpack(damaged).field())
    assert "\n" not in said
    assert found is None or found(torch.zeros(1, 2)).shape[0] == 1


def test_a_picture_too_large_is_refused_before_memory_is_taken(local) -> None:
    content = hostile(pack(local), [(2, 255), (3, 255), (4, 255), (5, 255)], 0)
    with pytest.raises(UserError, match="stream of numbers"):
        unpack(content)


def test_a_run_s_network_comes_back(fit, tmp_path) -> None:
    """From a finished run, with the waves of its seed: the file's function is near the run's."""
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    folder = fit(
        f"signal.path={tmp_path}/picture.png", "signal.size=null", "signal.holdout=false", "~loss.terms.between",
        "encoding.frequencies=12", "field.width=16", "trainer.max_steps=60", "data.batch_size=2048",
        "data.eval_every=60", "logger=none",
    )["folder"]  # fmt: skip
    said = compress_run(folder, tmp_path / "run.sine", rate=2.0, steps=20)
    found, own = sinefield.decompress(tmp_path / "run.sine"), sinefield.load(folder)
    assert torch.equal(found.encoding.matrix, own.encoding.matrix)
    x = samples((60, 80))
    assert (found(x) - own(x)).square().mean().sqrt() < 0.2
    assert f"{psnr(drawn(unpack((tmp_path / 'run.sine').read_bytes())), PICTURE):.2f} dB" in said


def test_other_fields_are_refused() -> None:
    field = CoordinateMLP(2, 3, 8, 1, activation=Sine([20.0, 10.0]))
    with pytest.raises(UserError, match="single number"):
        networks.described(field, field)
    with pytest.raises(UserError, match="activation=sine"):
        networks.described(CoordinateMLP(2, 3, 8, -1, activation=Sine()), field)
    first, second = (CoordinateMLP(2, 3, 8, 1, activation=Sine(), encoding=Radial(2, 8, seed=seed)) for seed in (0, 1))
    with pytest.raises(UserError, match="not those of its seed"):
        networks.described(first, second)


def test_the_script_s_mistakes_are_one_line(tmp_path) -> None:
    for arguments in (["a.sine", "picture=b.png"], ["picture=b.png"], ["a.sine"], ["picture=b.png", "out=b.jpg"]):
        failed = run(*arguments, script=SCRIPT, cwd=tmp_path)
        assert failed.returncode == 1
        assert failed.stderr.startswith("error: ")
        assert failed.stderr.count("\n") == 1
